"""The length of a training in passes over eight images, two at a time."""
import math

import pytest


def train_cfg(**options):
    return {'train_cfg': dict(_delete_=True, type='PassBasedTrainLoop',
                              **options)}


@pytest.mark.parametrize('options, iterations', [
    (dict(max_passes=3), 12),
    (dict(max_passes=0.2), 1),  # 1.6 images
    (dict(max_passes=3, max_images=10), 5),
    (dict(max_passes=1, max_images=1000), 4),
])
def test_length_follows_from_the_images(make_runner, options, iterations):
    runner = make_runner(train_cfg(**options))
    loop = runner.build_train_loop(runner._train_loop)
    assert loop.max_iters == iterations


def test_schedule_and_momentum_end_with_it(make_runner):
    runner = make_runner({
        **train_cfg(max_passes=1),
        'optim_wrapper.accumulative_counts': 2,
        'default_hooks.checkpoint.interval': 4,
    })
    runner.train()
    assert runner.iter == 4
    assert runner.param_schedulers[-1].end == 4
    # The last rate is that of the last of four steps.
    assert runner.optim_wrapper.get_lr()['lr'][0] == pytest.approx(
        1e-3 * (1 + math.cos(3 * math.pi / 4)) / 2)
    steps = [state['step'].item() for state in
             runner.optim_wrapper.optimizer.state.values()]
    assert set(steps) == {2}


@pytest.mark.parametrize('options', [
    dict(max_passes=0), dict(max_passes=1, max_images=0)])
def test_impossible_length_is_refused(make_runner, options):
    runner = make_runner(train_cfg(**options))
    with pytest.raises(ValueError, match='max_passes and max_images must be'):
        runner.train()
