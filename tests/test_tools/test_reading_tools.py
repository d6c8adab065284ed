"""Tools that read what runs have left: reports and comparisons."""
import json
import re
import runpy
import sys

import cv2
import pytest
import torch
from matplotlib.image import imread

from mask_jepa.visualization import draw_health

# Several runs side by side.


TOOL = 'tools/analysis_tools/compare_health.py'


@pytest.fixture
def compare(root, monkeypatch):

    def run(*arguments):
        monkeypatch.chdir(root)
        monkeypatch.setenv('COLUMNS', '100')
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, arguments)])
        runpy.run_path(TOOL, run_name='__main__')

    return run


def test_verdicts_are_printed_and_curves_drawn(compare, watched, tmp_path,
                                               capsys):
    out = tmp_path / 'health.png'
    run = watched / 'run'
    compare(run, run, '--names', 'one', 'two', '--out', out)
    printed = capsys.readouterr().out
    assert 'one' in printed and 'two' in printed
    assert printed.count('not judged yet') == 2
    assert imread(out).shape[:2] == (600, 1200)


@pytest.mark.parametrize('arguments, sentence', [
    (['no/such/run'], 'no folder no/such/run'),
    (['a', 'b', '--names', 'one'], 'there are 1 names for 2 runs'),
    (['a', 'b', '--names', 'one', 'one'], 'a name stands twice'),
])
def test_wrong_arguments_get_one_sentence(compare, arguments, sentence,
                                          capsys):
    with pytest.raises(SystemExit) as caught:
        compare(*arguments)
    assert sentence in f'{caught.value}{capsys.readouterr().err}'


def test_folders_of_one_name_are_told_apart(compare, watched, tmp_path,
                                            capsys):
    other = tmp_path / 'run'
    other.symlink_to(watched / 'run')
    compare(watched / 'run', other, '--out', tmp_path / 'health.png')
    printed = ''.join(capsys.readouterr().out.split())
    assert printed.count('notjudgedyet') == 2
    assert 'Drew2runs' in printed


def test_every_run_has_its_curve_in_every_panel():
    runs = {
        name: {
            step: dict.fromkeys(('loss_jepa', 'target_std', 'target_rank',
                                 'target_cosine_between', 'queries_used',
                                 'leak'), factor * step)
            for step in (10, 20, 30)
        }
        for name, factor in dict(one=1.0, two=2.0).items()
    }
    figure = draw_health(runs)
    assert len(figure.axes) == 6
    for axis in figure.axes:
        lines = {line.get_label(): line for line in axis.lines}
        assert list(lines['one'].get_xdata()) == [10, 20, 30]
        assert list(lines['two'].get_ydata()) == [20, 40, 60]


# Images of a core in a second.


@pytest.mark.parametrize('options', [[], ['--resave-at', '300']])
def test_loading_is_timed(root, real_data, tmp_path, monkeypatch, capsys,
                          options):
    listing = tmp_path / 'images.txt'
    listing.write_text('\n'.join(map(str, real_data)))
    tool = 'tools/analysis_tools/benchmark_loading.py'
    monkeypatch.chdir(root)
    monkeypatch.setenv('COLUMNS', '120')
    for library, name in ((cv2, 'setNumThreads'), (torch, 'set_num_threads')):
        monkeypatch.setattr(library, name, lambda count: None)
    monkeypatch.setattr(sys, 'argv', [
        tool, 'configs/mask_jepa_r18_tiny.py', '--num-images', '4', '--rounds',
        '2', *options, '--cfg-options',
        f'train_dataloader.dataset.data_root={listing}'])
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr().out
    assert '4 images, crops of 128 pixels' in printed
    speeds = re.findall(r'│ +(\d+) \((\d+) to (\d+)\)', printed)
    assert len(speeds) == 3
    for median, slowest, fastest in speeds:
        assert 0 < int(slowest) <= int(median) <= int(fastest)


# The report of one run.


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
