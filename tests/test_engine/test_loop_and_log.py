"""What a training consists of, how long it is, and what it says."""
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import LOG_PROCESSORS

from mask_jepa.engine import resolve_config

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


def test_crop_of_a_data_set_of_mmdet_is_that_of_its_pipeline():
    pipeline = [dict(type='ReadUnlabeledImage'),
                dict(type='mmpretrain.RandomResizedCrop', scale=64)]
    config = make(
        train_dataloader=dict(
            dataset=dict(type='CocoDataset', pipeline=pipeline)),
        test_dataloader=dict(dataset=dict(type='UnlabeledImageDataset')))
    resolve_config(config)
    assert config.test_dataloader.dataset.crop_size == 64


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


@pytest.mark.parametrize('has_gpu', [False, True])
@pytest.mark.parametrize('num_workers', [0, 2])
def test_loaders_get_what_works_here(monkeypatch, has_gpu, num_workers):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: has_gpu)
    options = dict(num_workers=num_workers, batch_size=2)
    workers = dict(persistent_workers=True, prefetch_factor=3)
    expected = dict(options, **(workers if num_workers else {}),
                    **(dict(pin_memory=True) if has_gpu else {}))
    for split in ('train', 'val', 'test'):
        config = make()
        config[f'{split}_dataloader'] = dict(
            options, **workers, pin_memory=True, dataset=dict(crop_size=96))
        resolve_config(config)
        loader = config[f'{split}_dataloader'].to_dict()
        loader.pop('dataset')
        assert loader == expected
        torch.utils.data.DataLoader([1], **loader)


def test_only_a_resumed_run_sees_the_images_with_which_it_began(tmp_path):
    image_list = tmp_path / 'image_list.txt'
    image_list.write_text('')
    checkpoint = str(tmp_path / 'iter_2.pth')

    def listed(**options):
        config = make(
            train_dataloader=dict(dataset=dict(
                type='UnlabeledImageDataset', image_list='of another run')),
            **options)
        resolve_config(config)
        return config.train_dataloader.dataset.get('image_list')

    assert listed(resume=True, load_from=checkpoint) == str(image_list)
    assert listed(resume=False, load_from=checkpoint) is None
    assert listed(resume=True, load_from=None) is None
    image_list.unlink()
    assert listed(resume=True, load_from=checkpoint) is None


# The length of a training in passes over eight images, two at a time.


def train_cfg(**options):
    return {'train_cfg': dict(_delete_=True, type='PassBasedTrainLoop',
                              **options)}


@pytest.mark.parametrize('options, iterations', [
    (dict(max_passes=3), 12),
    (dict(max_passes=0.2), 1),  # 1.6 images
    (dict(max_passes=3, max_images=10), 5),
    (dict(max_passes=1, max_images=1000), 4),
    (dict(max_passes=1, max_images=1000, min_images=50), 25),
    (dict(max_passes=3, min_images=20), 12),
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


def test_bounds_that_cross_are_refused(make_runner):
    runner = make_runner(train_cfg(max_passes=1, max_images=3, min_images=4))
    with pytest.raises(ValueError, match='min_images=4 must not be above'):
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


@pytest.mark.parametrize('waiting, shares', [
    # Four workers deliver four batches each time; ten or eleven deliveries
    # count, of two seconds each, and 48 steps of one second.
    (lambda step: 2 * (step % 4 == 0), ('29%', '31%')),
    (lambda step: 0.1, ()),
    # Two pictures, not the images.
    (lambda step: 90 * (step % 25 == 0), ()),
])
def test_a_run_that_waits_for_images_is_told_once(tmp_path, waiting, shares):
    log = tmp_path / 'run.log'
    MMLogger.get_instance('waits', log_file=str(log), log_level='WARNING')
    hub = MessageHub.get_instance('waits')
    processor = LOG_PROCESSORS.build(
        dict(type='LossLogProcessor', by_epoch=False))
    for step in range(130):
        hub.update_scalar('train/data_time', waiting(step))
        hub.update_scalar('train/time', 1 + waiting(step))
        if step % 10 == 9:
            runner = SimpleNamespace(
                message_hub=hub, iter=step, max_iters=130, _train_loop=None,
                train_dataloader=SimpleNamespace(num_workers=4))
            processor.get_log_after_iter(runner, step, 'train')
    lines = log.read_text().splitlines()
    assert len(lines) == bool(shares)
    for line in lines:
        assert re.search(f"({'|'.join(shares)}) of the last 50 .*num_workers, "
                         'which is 4', line)
