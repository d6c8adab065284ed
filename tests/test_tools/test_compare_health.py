"""Several runs side by side."""
import runpy
import sys

import pytest
from matplotlib.image import imread

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
    assert 'healthy' in printed or 'collapse' in printed
    picture = imread(out)
    assert picture.shape[:2] == (600, 1200)
    assert picture[..., :3].std() > 0.05


@pytest.mark.parametrize('arguments, sentence', [
    (['no/such/run'], 'no folder no/such/run'),
    (['a', 'b', '--names', 'one'], 'there are 1 names for 2 runs'),
])
def test_wrong_arguments_get_one_sentence(compare, arguments, sentence,
                                          capsys):
    with pytest.raises(SystemExit) as caught:
        compare(*arguments)
    assert sentence in f'{caught.value}{capsys.readouterr().err}'
