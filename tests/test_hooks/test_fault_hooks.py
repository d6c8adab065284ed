"""Hooks that end a training which has gone wrong."""
import copy
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger

from mask_jepa.hooks import (NonFiniteLossError, RankConsistencyHook,
                             rank_consistency_hook)

# NonFiniteLossHook: a loss that is no number.


class Watch(Hook):
    """Keep weights, optimiser and file names as they are before a step."""

    def __init__(self):
        self.weights, self.optimizer, self.images = [], [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.weights.append(parameters(runner.model))
        self.optimizer.append(copy.deepcopy(runner.optim_wrapper.state_dict()))
        self.images.append(
            [sample.img_path for sample in data_batch['data_samples']])


def parameters(model):
    return {
        name: value.detach().clone()
        for name, value in model.named_parameters()
    }


def spoil(model, iteration, name, value):
    """Let one term of one iteration go wrong."""
    loss = model.loss
    calls = []

    def spoilt_loss(*args, **kwargs):
        losses = loss(*args, **kwargs)
        calls.append(None)
        if len(calls) == iteration:
            losses[name] = losses.get(name, torch.ones(())) * value
        return losses

    model.loss = spoilt_loss


def flat(value):
    """All tensors and numbers of nested containers, in order, no names."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in flat(item)]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flat(item)]
    is_number = value is not None and not isinstance(value, str)
    return [torch.as_tensor(value)] if is_number else []


@pytest.mark.parametrize('name, value',
                         [('loss_jepa', float('nan')),
                          ('loss_reconstruction', float('inf'))])
def test_run_ends_before_the_step(make_runner, name, value):
    watch = Watch()
    runner = make_runner(
        {
            'train_cfg.max_iters': 6,
            'default_hooks.checkpoint.interval': 2
        },
        hooks=[(watch, 'VERY_LOW')])
    spoil(runner.model, 4, name, value)
    with pytest.raises(NonFiniteLossError) as caught:
        runner.train()

    assert f'Iteration 4: {name}={value}.' in str(caught.value)
    record = Path(runner.work_dir) / 'non_finite_loss_rank0.json'
    assert str(record) in str(caught.value)
    content = json.loads(record.read_text())
    assert content['iter'] == 3
    assert content['images'] == watch.images[3]
    assert len(set(content['images'])) == 2
    assert content['losses'][name] == str(value)
    assert float(content['losses']['loss_regularizer']) > 0

    assert len(watch.weights) == 4
    after = parameters(runner.model)
    for key, weight in watch.weights[3].items():
        assert torch.equal(after[key], weight), key
    assert not torch.equal(after['backbone.conv1.weight'],
                           watch.weights[2]['backbone.conv1.weight'])
    for one, other in zip(
            flat(watch.optimizer[3]), flat(runner.optim_wrapper.state_dict())):
        assert torch.equal(one, other)

    saved = sorted(
        path.name for path in Path(runner.work_dir).glob('iter_*.pth'))
    assert saved == ['iter_2.pth']
    checkpoint = torch.load(
        Path(runner.work_dir) / 'iter_2.pth', weights_only=True)
    for key, weight in watch.weights[2].items():
        assert torch.equal(checkpoint['state_dict'][key], weight), key


class Break(Hook):
    """Spoil the mask predictor before the third iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            head = runner.model.panoptic_head
            torch.nn.init.constant_(head.mask_embed[0].weight, math.nan)


def test_masks_that_are_no_numbers_end_the_run(make_runner):
    """Before the matching of masks, which refuses them, can."""
    runner = make_runner({'train_cfg.max_iters': 6}, hooks=[(Break(), 'LOW')])
    with pytest.raises(NonFiniteLossError) as caught:
        runner.train()
    assert 'Iteration 3: ' in str(caught.value)
    assert 'loss_prototype_mask=nan' in str(caught.value)
    assert 'loss_jepa=nan' in str(caught.value)


def test_what_is_no_loss_does_not_end_the_run(make_runner):
    """A model may return other values to be logged."""
    runner = make_runner({'train_cfg.max_iters': 2})
    spoil(runner.model, 1, 'accuracy', float('nan'))
    runner.train()
    assert runner.iter == 2
    logged = runner.message_hub.get_scalar('train/accuracy').data[0]
    assert math.isnan(logged[0])


# RankConsistencyHook: ranks that drift apart.


class Model(torch.nn.Module):
    """Nine weights, two common numbers, and one that may differ."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 3)
        self.prototypes = torch.nn.Module()
        self.prototypes.register_buffer('centers', torch.rand(2))
        self.register_buffer('running_mean', torch.rand(1))


@pytest.fixture
def compare_as_second_rank(monkeypatch, tmp_path):
    """Be rank 1, where rank 0 holds what `first` makes of it; return the
    log of a run whose checks fall on iterations 1, 3 and the end."""

    def compare(first):

        def broadcast(tensor):
            tensor.copy_(first(tensor.clone()))

        monkeypatch.setattr(rank_consistency_hook, 'get_world_size', lambda: 2)
        monkeypatch.setattr(rank_consistency_hook, 'broadcast', broadcast)
        monkeypatch.setattr(rank_consistency_hook, 'all_gather',
                            lambda own: [torch.ones_like(own), own])
        log = tmp_path / 'log.txt'
        runner = SimpleNamespace(
            model=Model(),
            iter=0,
            logger=MMLogger.get_instance('ranks', log_file=str(log)))
        hook = RankConsistencyHook(interval=3)
        hook.before_train(runner)
        for runner.iter in range(4):
            hook.after_train_iter(runner)
        runner.iter = 4
        hook.after_train(runner)
        return [
            line.partition(' - mmengine - ')[2]
            for line in log.read_text().splitlines()
        ]

    return compare


def test_equal_ranks_pass(compare_as_second_rank):
    assert compare_as_second_rank(lambda weights: weights) == [
        'INFO - All 2 ranks hold the same weights, bit for bit.'
    ]


@pytest.mark.parametrize('place, name', [(0, 'linear.weight'),
                                         (8, 'linear.bias'),
                                         (9, 'prototypes.centers'),
                                         (10, 'prototypes.centers')])
def test_smallest_difference_is_named_and_the_run_goes_on(
        compare_as_second_rank, place, name):

    def nudge(numbers):
        numbers[place] = torch.nextafter(numbers[place], torch.tensor(9.))
        return numbers

    assert compare_as_second_rank(nudge) == [
        f'WARNING - Iteration {iteration}: 1 tensors of rank(s) [1] differ '
        f'from those of rank 0, {name} first: some part of the training is '
        'not the same on all ranks.' for iteration in (1, 3, 4)
    ]


# UnusedParameterHook: what nothing trains. Two processes have tests of their
# own, since they cannot go on.


def test_parameters_without_gradient_are_named_once(make_runner):
    runner = make_runner({
        'train_cfg.max_iters':
        3,
        'model.panoptic_head.transformer_decoder.num_layers':
        1
    })
    runner.train()
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    assert text.count(
        'WARNING - 2 parameters get no gradient, so that nothing would train '
        'them: mask_tokens.tokens.1, mask_tokens.tokens.2.') == 1
    assert not any(parameter._post_accumulate_grad_hooks
                   for parameter in runner.model.parameters())


def test_trained_parameters_are_not_spoken_of(make_runner):
    runner = make_runner({'train_cfg.max_iters': 2})
    runner.train()
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    assert 'no gradient' not in text
