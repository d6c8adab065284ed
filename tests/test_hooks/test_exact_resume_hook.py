"""2N iterations equal N + resume + N, bit for bit."""
import copy
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mask_jepa.datasets import UnlabeledImageDataset

HALF = 4
DROPOUT = 'model.panoptic_head.transformer_decoder.layer_cfg.ffn_cfg.ffn_drop'


class Interrupted(Exception):
    """The run was killed."""


class Interrupt(Hook):

    def __init__(self, place=HALF):
        self.place = place

    def after_train_iter(self, runner, **kwargs):
        if runner.iter + 1 == self.place:
            raise Interrupted


class Watch(Hook):
    """Keep the name of every image that a run sees."""

    def __init__(self):
        self.images = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.images += [
            sample.img_path for sample in data_batch['data_samples']]


def leaves(value, name=''):
    """Everything in nested containers, by its path."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {name: value}
    return {
        path: leaf
        for key, item in items
        for path, leaf in leaves(item, f'{name}/{key}').items()
    }


def state(runner):
    return leaves(
        dict(
            model=runner.model.state_dict(),
            optimizer=runner.optim_wrapper.state_dict(),
            schedulers=[
                scheduler.state_dict()
                for scheduler in runner.param_schedulers
            ]))


def run(make_runner, options, work_dir, hooks=()):
    watch = Watch()
    runner = make_runner(
        options, work_dir, hooks=[(watch, 'NORMAL'), *hooks])
    try:
        runner.train()
    except Interrupted:
        pass
    return runner, watch.images


@pytest.mark.parametrize('accumulated, workers, dropout', [(1, 0, 0.0),
                                                           (1, 0, 0.1),
                                                           (2, 2, 0.1)])
def test_resumed_run_equals_the_straight_one(make_runner, accumulated,
                                             workers, dropout):
    options = {
        'train_cfg.max_iters': 2 * HALF,
        'optim_wrapper.accumulative_counts': accumulated,
        'train_dataloader.num_workers': workers,
        'train_dataloader.persistent_workers': workers > 0,
        'default_hooks.checkpoint.interval': HALF,
        DROPOUT: dropout
    }
    straight, images = run(make_runner, options, 'straight')
    interrupted, first = run(make_runner, options, 'resumed',
                             [(Interrupt(), 'LOWEST')])
    assert interrupted.iter == HALF - 1
    # Whatever the new process has drawn before, it must not matter.
    resumed, second = run(make_runner, dict(options, resume=True), 'resumed')

    assert len(images) == 4 * HALF and len(first) == len(second) == 2 * HALF
    assert first + second == images
    expected, found = state(straight), state(resumed)
    assert expected.keys() == found.keys()
    assert sum('/exp_avg' in name for name in expected) > 100
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, found[name]), name
        else:
            assert value == found[name], name
    before = state(interrupted)
    name = '/model/panoptic_head.mask_embed.0.weight'
    assert not torch.equal(before[name], found[name])


def test_a_seed_of_the_sampler_counts_after_a_resume(make_runner):
    options = {
        'train_cfg.max_iters': 2 * HALF,
        'train_dataloader.sampler.seed': 7,
        'default_hooks.checkpoint.interval': HALF
    }
    _, images = run(make_runner, options, 'straight')
    _, first = run(make_runner, options, 'resumed',
                   [(Interrupt(), 'LOWEST')])
    _, second = run(make_runner, dict(options, resume=True), 'resumed')
    assert first + second == images


def test_new_run_from_old_weights_draws_its_own_numbers(make_runner):
    first, _ = run(make_runner, {'train_cfg.max_iters': 2}, 'first')
    start = {
        'load_from': f'{first.work_dir}/iter_2.pth',
        'randomness.seed': 7,
        'train_cfg.max_iters': 2
    }
    fresh = make_runner({'randomness.seed': 7}, 'fresh')
    runner = make_runner(start, 'second')
    runner.load_or_resume()
    random = runner.model.random.state_dict()
    assert random == fresh.model.random.state_dict()
    assert random['step'] == 0
    assert first.model.random.step == 2
    name = 'backbone.conv1.weight'
    assert torch.equal(runner.model.state_dict()[name],
                       first.model.state_dict()[name])


@pytest.mark.parametrize('changed', [False, True])
def test_other_images_after_a_resume_are_told(make_runner, image_folder,
                                              changed):
    options = {'train_cfg.max_iters': 1,
               'default_hooks.checkpoint.interval': 1}
    run(make_runner, options, 'work')
    if changed:
        (image_folder / 'scene_0.jpg').rename(image_folder / 'other.jpg')
    options.update({'train_cfg.max_iters': 2, 'resume': True})
    runner, _ = run(make_runner, options, 'work')
    assert ('other.jpg' in Path(runner.work_dir, 'image_list.txt').read_text()
            ) == changed
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    assert ('The images are not those with which' in text) == changed


def test_resume_reads_no_earlier_image(make_runner, monkeypatch):
    """The stock loop loads all earlier batches again to throw them away."""
    options = {
        'train_cfg.max_iters': 2 * HALF,
        'default_hooks.checkpoint.interval': HALF
    }
    run(make_runner, options, 'work', [(Interrupt(), 'LOWEST')])
    read = []
    get = UnlabeledImageDataset.__getitem__

    def spy(dataset, index):
        read.append(index)
        return get(dataset, index)

    monkeypatch.setattr(UnlabeledImageDataset, '__getitem__', spy)
    run(make_runner, dict(options, resume=True), 'work')
    assert len(read) == 2 * HALF


def test_validation_after_the_checkpoint_is_made_up_for(
        make_runner, tiny_config, image_folder):
    """Also the last one, after which nothing is trained."""
    loader = tiny_config().test_dataloader
    loader.num_workers = 0
    loader.dataset.update(
        data_root=str(image_folder), crop_size=64, indices=2)
    options = {
        'train_cfg.max_iters': 2 * HALF,
        'train_cfg.val_interval': HALF,
        'val_dataloader': dict(_delete_=True, **loader),
        'val_cfg': dict(_delete_=True, type='ValLoop'),
        'val_evaluator': dict(_delete_=True, type='PretrainMetric'),
        'default_hooks.checkpoint.interval': HALF
    }

    def scores(work_dir, hooks=(), resume=False):
        runner, _ = run(make_runner,
                        copy.deepcopy(dict(options, resume=resume)), work_dir,
                        hooks)
        name = 'val/pretrain/prediction_error'
        history = runner.message_hub.log_scalars.get(name)
        return history.data[0].tolist() if history else []

    expected = scores('straight')
    assert len(expected) == 2
    for place in (HALF, 2 * HALF):
        assert len(scores('work', [(Interrupt(place), 'LOWEST')],
                          resume=True)) == place // HALF - 1
    assert scores('work', resume=True) == expected


def test_other_sampler_is_refused(make_runner):
    runner = make_runner(
        {'train_dataloader.sampler.type': 'InfiniteSampler'})
    with pytest.raises(
            TypeError, match='SeekableInfiniteSampler.*InfiniteSampler'):
        runner.train()
