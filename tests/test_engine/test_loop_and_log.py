"""What a training consists of, how long it is, and what it says."""
import math
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from projects.mask_jepa.engine import resolve_config

# What tools settle in a config before they build a Runner.


def make(**options):
    return Config({
        'default_hooks': dict(timer=None, health=None, target=dict(type='X')),
        'train_dataloader': dict(dataset=dict(crop_size=96)),
        **options
    })


def test_hook_that_is_none_goes():
    config = make()
    resolve_config(config)
    # That of mmengine stays None: mmengine would put its own in its place.
    assert config.default_hooks == dict(timer=None, target=dict(type='X'))


def test_test_images_are_cropped_as_those_for_training():
    images = dict(type='UnlabeledImageDataset')
    config = make(test_dataloader=dict(dataset=images))
    resolve_config(config)
    assert config.test_dataloader.dataset.crop_size == 96
    own = make(test_dataloader=dict(dataset=dict(images, crop_size=32)))
    resolve_config(own)
    assert own.test_dataloader.dataset.crop_size == 32
    resolve_config(make(test_dataloader=None))


def test_crop_is_found_within_other_datasets():
    parts = [dict(type='X', dataset=dict(crop_size=96))]
    config = make(
        train_dataloader=dict(dataset=dict(type='Y', datasets=parts)),
        test_dataloader=dict(dataset=dict(type='UnlabeledImageDataset')))
    resolve_config(config)
    assert config.test_dataloader.dataset.crop_size == 96


def test_images_of_other_kinds_keep_their_arguments():
    config = make(test_dataloader=dict(dataset=dict(type='CocoDataset')))
    resolve_config(config)
    assert config.test_dataloader.dataset == dict(type='CocoDataset')


# The length of a training in passes over eight images, two at a time.


def train_cfg(**options):
    return {'train_cfg': dict(_delete_=True, type='PassBasedTrainLoop',
                              **options)}


@pytest.mark.parametrize('options, iterations', [
    (dict(max_passes=3), 12),
    (dict(max_passes=0.2), 1),  # 1.6 images
    (dict(max_passes=3, max_images=10), 5),
    (dict(max_passes=1, max_images=1000), 4),
    (dict(max_passes=3, max_iters=7), 7),
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


# What the console shows.


FIELDS = ('lr', 'eta', 'time', 'data_time', 'loss', 'loss_jepa',
          'loss_reconstruction', 'loss_regularizer', 'loss_prototype_cls',
          'loss_prototype_mask', 'loss_prototype_dice')


def test_console_shows_the_losses_alone(make_runner, logged):
    """Every hook at work, in every iteration; the rest is in the files."""
    runner = make_runner({
        'train_cfg.max_iters': 12,
        'default_hooks.logger.interval': 3,
        'FeatureHealthHook.interval': 1,
        'MonitoringCostHook.interval': 1
    })
    runner.train()
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    lines = [line for line in text.splitlines() if 'Iter(train)' in line]
    assert [line.partition('Iter(train) ')[2].partition(']')[0]
            for line in lines] == ['[ 3/12', '[ 6/12', '[ 9/12', '[12/12']
    for line in lines:
        assert tuple(re.findall(r'(\w+): ', line)) == FIELDS
    assert logged(runner, 'grad_norm').keys() == {3, 6, 9, 12}
    assert logged(runner, 'ema/momentum').keys() == {3, 6, 9, 12}
    assert logged(runner, 'queries/sigma').keys() == {3, 6, 9, 12}
    assert len(logged(runner, 'health/leak')) == 12
