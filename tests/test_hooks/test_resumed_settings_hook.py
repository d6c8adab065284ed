"""Settings that change when a run is resumed."""
from itertools import islice
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mask_jepa.datasets import SeekableInfiniteSampler
from mask_jepa.hooks.resumed_settings_hook import differences
from mask_jepa.utils import RunError

pytestmark = pytest.mark.slow
HALF, WHOLE = 2, 4


class Watch(Hook):
    """Keep learning rates and images by iteration."""

    def __init__(self):
        self.rates, self.images = {}, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates[runner.iter] = [
            group['lr'] for group in runner.optim_wrapper.param_groups
        ]
        self.images += [
            sample.img_path for sample in data_batch['data_samples']
        ]


@pytest.fixture
def train(make_runner):

    def start(work_dir='work', **options):
        watch = Watch()
        runner = make_runner(
            {
                'train_cfg.max_iters': WHOLE,
                'default_hooks.checkpoint.interval': HALF,
                **options
            },
            work_dir,
            hooks=[(watch, 'LOWEST')])
        runner.train()
        return runner, watch

    return start


def state(runner):
    path = Path(runner.work_dir) / f'iter_{WHOLE}.pth'
    return torch.load(path, weights_only=True)


def warnings(runner):
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    return [
        line.partition('Resumed with other settings, ')[2]
        for line in text.splitlines() if 'Resumed with other settings' in line
    ]


@pytest.mark.parametrize('begun, resumed, said', [
    ({
        'train_cfg.max_iters': HALF
    }, {}, 'train_cfg.max_iters 2 -> 4'),
    ({}, {
        'optim_wrapper.optimizer.lr': 1e-6,
        'optim_wrapper.optimizer.weight_decay': 0.5
    }, 'optim_wrapper.optimizer.lr 0.001 -> 1e-06; '
     'optim_wrapper.optimizer.weight_decay 0.05 -> 0.5'),
    ({}, {
        'param_scheduler.0.end': 3
    }, 'param_scheduler.0.end 2 -> 3'),
])
def test_schedule_goes_on_as_if_it_had_always_been_the_new_one(
        train, begun, resumed, said):
    first, _ = train(**begun)
    again, watch = train(
        'again',
        resume=True,
        load_from=f'{first.work_dir}/iter_{HALF}.pth',
        **resumed)
    straight, straight_watch = train('straight', **resumed)
    assert watch.rates == {
        iteration: rates
        for iteration, rates in straight_watch.rates.items()
        if iteration >= HALF
    }
    again_state, straight_state = state(again), state(straight)
    assert again_state['param_schedulers'] == straight_state[
        'param_schedulers']
    for one, other in zip(again_state['optimizer']['param_groups'],
                          straight_state['optimizer']['param_groups']):
        assert one == other
    assert warnings(again) == [f'which count from now on: {said}.']


def test_nothing_is_said_of_what_is_the_same(train):
    first, _ = train()
    again, _ = train(
        'again', resume=True, load_from=f'{first.work_dir}/iter_{HALF}.pth')
    assert warnings(again) == []


def stream(runner, count):
    """Name the images in the order in which one that goes on sees them."""
    dataset = runner.train_dataloader.dataset
    sampler = SeekableInfiniteSampler(dataset, seed=runner.seed)
    return [
        dataset.get_data_info(index)['img_path']
        for index in islice(sampler, count)
    ]


def test_other_batch_size_goes_on_after_the_images_seen(train):
    first, watch = train()
    images = stream(first, 30)
    assert watch.images == images[:2 * WHOLE]
    again, watch = train(
        'again', **{
            'load_from': f'{first.work_dir}/iter_{HALF}.pth',
            'resume': True,
            'train_dataloader.batch_size': 5
        })
    seen = 2 * HALF + 5 * (WHOLE - HALF)
    assert watch.images == images[2 * HALF:seen]
    assert warnings(again) == [
        'which count from now on: train_dataloader.batch_size 2 -> 5.'
    ]
    # And with one process in place of two.
    path = Path(again.work_dir) / f'iter_{WHOLE}.pth'
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint['meta']['processes'] == 1
    checkpoint['meta']['processes'] = 2
    torch.save(checkpoint, path)
    more, watch = train(
        'once more', **{
            'load_from': str(path),
            'resume': True,
            'train_dataloader.batch_size': 5,
            'train_cfg.max_iters': WHOLE + 1
        })
    assert watch.images == images[seen:seen + 5]
    assert warnings(more) == [
        'which count from now on: train_cfg.max_iters 4 -> 5; processes 2 -> '
        '1.'
    ]


def test_what_has_no_meaning_is_refused(train):
    first, _ = train()
    options = dict(resume=True, load_from=f'{first.work_dir}/iter_{WHOLE}.pth')
    with pytest.raises(
            RunError,
            match='is of iteration 4, and the training '
            'has 3: resume from an earlier one'):
        train('other', **{'train_cfg.max_iters': 3, **options})

    def passes():  # merging takes _delete_ out of it
        return {
            'train_cfg':
            dict(_delete_=True, type='PassBasedTrainLoop', max_passes=1)
        }

    with pytest.raises(
            RunError,
            match='counted in passes, and another batch '
            'size .*: keep them, or set train_cfg.max_iters'):
        train('other', **{
            'train_dataloader.batch_size': 1,
            **passes(),
            **options
        })
    train('other', **passes(), **options)


def test_differences_are_of_what_counts():
    before = dict(
        model=dict(a=[1, dict(b=2)], c=(1, 2)),
        work_dir='x',
        train_dataloader=dict(dataset=dict(image_list='y', b=1)),
        optim_wrapper=dict(type='OptimWrapper'))
    after = dict(
        model=dict(a=[1, dict(b=3)], c=[1, 2]),
        work_dir='z',
        train_dataloader=dict(dataset=dict(b=1)),
        optim_wrapper=dict(type='AmpOptimWrapper', dtype='bfloat16'))
    assert differences(before, after) == [
        'model.a.1.b 2 -> 3',
        'optim_wrapper.type OptimWrapper -> AmpOptimWrapper',
        'optim_wrapper.dtype (none) -> bfloat16'
    ]
