import pytest

from projects.mask_jepa.report import read_run
from projects.mask_jepa.report.run_records import merge_sessions


def test_resumed_run_is_merged(run):
    assert run.name == 'killed & resumed'
    assert run.num_sessions == 2
    assert list(run.training) == [20, 40, 60]
    assert run.training[20]['loss'] == 1.05
    assert run.training[60]['time'] == 0.5  # of the second session
    assert list(run.validation) == [0, 40, 60]
    assert run.iteration == 60
    path = run.pictures['pretraining'][60]
    assert '20261121_121032' in path
    assert list(run.pictures['pretraining']) == [20, 60]


def test_values_have_one_name_whichever_release_wrote_them(run):
    assert run.training[40].keys() == run.training[60].keys()
    assert run.training[60]['monitoring_share'] == 0.5
    assert not any('/' in key for key in run.training[60])


def test_torn_line_is_left_out_and_counted(run):
    assert run.num_unreadable == 1


def test_iterations_that_a_resumed_run_went_back_behind_are_dropped():
    old = {0: 'start', 20: 'a', 40: 'b', 60: 'c', 80: 'd'}
    assert merge_sessions([20, 60], [old, {60: 'new'}]) == {
        0: 'start',
        20: 'a',
        40: 'b',
        60: 'new'
    }
    # A session that has logged nothing yet takes nothing back.
    assert merge_sessions([20, None], [old, {}]) == old


@pytest.mark.parametrize('name, sentence', [
    ('nowhere', 'There is no folder .*nowhere: give the --work-dir'),
    ('', 'no <timestamp>/vis_data/scalars.json in .*: give the --work-dir'),
])
def test_other_folders_get_one_sentence(tmp_path, name, sentence):
    with pytest.raises(FileNotFoundError, match=sentence) as caught:
        read_run(str(tmp_path / name))
    assert '\n' not in str(caught.value)
