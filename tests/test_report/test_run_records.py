"""What is read of a run, before it is shown."""
import pytest

from mask_jepa.report import read_run
from mask_jepa.report.run_files import find_pictures
from mask_jepa.report.run_records import merge_sessions
from mask_jepa.report.summary import ProbeScore, probe_scores, throughput_facts

# Config, environment, verdict and pictures.


def test_config_and_environment(run):
    assert run.config.name == 'mask_jepa_r18_tiny'
    assert run.config.max_iters == 400
    assert 'markup' in run.config.text
    assert run.environment.text.startswith('System environment:')
    assert run.environment.text.endswith('GPU number: 2')


@pytest.mark.parametrize('content', ['{"verdict": "heal', '[]', '{}'])
def test_verdict_that_is_none_is_missing(begun_work_dir, content):
    (begun_work_dir / 'health.json').write_text(content)
    assert read_run(str(begun_work_dir)).health is None


def test_config_that_cannot_be_read_is_still_shown(begun_work_dir):
    (begun_work_dir / 'broken.py').write_text('train_cfg = dict(')
    config = read_run(str(begun_work_dir)).config
    assert config.text == 'train_cfg = dict('
    assert config.max_iters is None


def test_pictures_are_found_by_name_and_iteration(tmp_path):
    folder = tmp_path / 'vis_data' / 'vis_image'
    folder.mkdir(parents=True)
    for name in ('a_1.png', 'a_20.png', 'b_c_3.png', 'a.png', 'a_1.jpg'):
        (folder / name).touch()
    found = find_pictures(str(tmp_path))
    assert {name: set(steps) for name, steps in found.items()} == {
        'a': {1, 20},
        'b_c': {3}
    }
    assert find_pictures(str(tmp_path / 'nowhere')) == {}


# What was logged, over several sessions.


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


# The few numbers at the top.


def test_probe_is_compared_with_its_start(run):
    linear, knn = probe_scores(run.validation)
    assert linear == ProbeScore('Linear', 15.25, 21.5, 60, 24.0, 40)
    assert linear.gain == 6.25
    assert knn == ProbeScore('k nearest neighbours', 12.5, 13.0, 60, 13.0, 60)
    assert knn.gain == 0.5


@pytest.mark.parametrize('validation, expected', [
    ({}, []),
    ({40: {'probe/linear_mIoU': 20.0}}, []),
    ({0: {'probe/linear_mIoU': 15.0}}, [('Linear', 15, 15, 0, 15, 0)]),
    ({
        40: {'probe/linear_mIoU': 14.0, 'probe/initial_linear_mIoU': 15.0},
        80: {'probe/linear_mIoU': float('nan')}
    }, [('Linear', 15, 14, 40, 15, 0)]),
])
def test_probe_with_gaps(validation, expected):
    assert probe_scores(validation) == expected


def test_throughput_by_hand(run):
    values = {fact.label: fact.value for fact in throughput_facts(run)}
    # Times 0.4, 0.4, 0.5; waiting 0.1 each; 8 images on each of 2 processes.
    assert values == {
        'Seconds per iteration': '0.4',
        'Images per second': '40',
        'Waiting for data': '25%',
        'Spent on monitoring': '50.0%',
        'GPU memory': '2.00 GB',
        'Host memory': '0.00 GB'
    }
