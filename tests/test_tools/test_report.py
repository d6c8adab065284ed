import json
import runpy
import sys

import pytest


@pytest.fixture
def report(root, monkeypatch):
    """Run the tool in this process, which has imported mmdet already."""

    def run(*arguments):
        script = root / 'tools' / 'report.py'
        monkeypatch.setattr(
            sys, 'argv', [str(script), *(str(value) for value in arguments)])
        runpy.run_path(str(script), run_name='__main__')

    return run


@pytest.fixture
def work_dir(tmp_path):
    folder = tmp_path / 'work' / '20261121_101032' / 'vis_data'
    folder.mkdir(parents=True)
    line = dict(loss=1.5, time=0.5, iter=20, step=20)
    (folder / 'scalars.json').write_text(json.dumps(line) + '\n')
    return tmp_path / 'work'


def test_report_as_a_command(python, work_dir, tmp_path):
    output = python('tools/report.py', work_dir)
    assert f'iterations 0 to 20 to {work_dir}/report.html' in output
    page = (work_dir / 'report.html').read_text()
    assert '<h1>work</h1>' in page
    assert '0.5' in page


def test_report_goes_where_it_is_told(report, work_dir, tmp_path):
    report(work_dir, '--out', tmp_path / 'shared' / 'page.html')
    assert [path.name for path in (tmp_path / 'shared').iterdir()
            ] == ['page.html']
    assert not (work_dir / 'report.html').exists()


@pytest.mark.parametrize('name, sentence', [
    ('nowhere', 'There is no folder'),
    ('', 'There is no <timestamp>/vis_data/scalars.json'),
])
def test_wrong_folder_gets_one_sentence(report, tmp_path, name, sentence):
    with pytest.raises(SystemExit, match=sentence) as caught:
        report(tmp_path / name)
    assert '\n' not in caught.value.code
