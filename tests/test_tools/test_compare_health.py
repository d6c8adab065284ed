"""Several runs side by side."""
import runpy
import sys

import pytest
from matplotlib.image import imread

from projects.mask_jepa.visualization import draw_health

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
