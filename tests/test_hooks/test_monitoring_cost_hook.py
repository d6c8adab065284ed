"""Gradients and updates of one step, by part, and what watching costs."""
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from torch import nn

from mask_jepa.hooks import MonitoringCostHook, monitoring_cost_hook
from mask_jepa.hooks.step_watch import (StepWatch, parameters_by_part,
                                        total_norm)
from mask_jepa.utils import monitoring_seconds, note_monitoring_seconds

PARTS = ('backbone', 'pixel_decoder', 'transformer_decoder',
         'pretraining_parts')


def part_of(name):
    """The part that a parameter belongs to, spelt out."""
    if name.startswith('backbone.'):
        return 'backbone'
    if not name.startswith('panoptic_head.'):
        return 'pretraining_parts'
    if name.startswith('panoptic_head.pixel_decoder.'):
        return 'pixel_decoder'
    return 'transformer_decoder'


def by_part(tensors):
    """Sort the values of some parameters, by name, into flat vectors."""
    sorted_values = {part: [torch.zeros(1)] for part in PARTS}
    for name, value in tensors.items():
        sorted_values[part_of(name)].append(value.flatten().double())
    return {part: torch.cat(values) for part, values in sorted_values.items()}


def trained(model):
    return {name: parameter for name, parameter in model.named_parameters()
            if parameter.requires_grad}


def copies(model):
    return {name: parameter.detach().clone()
            for name, parameter in trained(model).items()}


def test_every_trained_parameter_has_its_one_part(tiny_model):
    parts = parameters_by_part(tiny_model)
    assert set(parts) == set(PARTS)
    names = {parameter: name for name, parameter in trained(
        tiny_model).items()}
    sorted_names = {part: {names.pop(parameter) for parameter in parameters}
                    for part, parameters in parts.items()}
    assert not names
    assert 'backbone.conv1.weight' in sorted_names['backbone']
    assert 'mask_tokens.tokens.0' in sorted_names['pretraining_parts']
    for part, members in sorted_names.items():
        assert {part_of(name) for name in members} == {part}


def test_norm_worked_by_hand():
    tensors = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]]),
               torch.tensor(12.0).bfloat16()]
    assert total_norm(tensors).item() == 13
    assert total_norm([]).item() == 0


def test_values_of_a_step_of_the_model(make_model, images):
    """Against autograd, and against the weights before and after."""
    model = make_model()
    weights = trained(model)
    gradients = torch.autograd.grad(
        sum(model(images, mode='loss').values()), list(weights.values()),
        allow_unused=True)
    expected = by_part({
        name: gradient for name, gradient in zip(weights, gradients)
        if gradient is not None})

    model = make_model()
    optimizer = torch.optim.SGD(trained(model).values(), lr=0.02)
    reports = []

    def keep(values, seconds):
        assert seconds > 0
        reports.append(values)

    StepWatch(model, optimizer, keep).look_at_next_step()
    before = copies(model)
    model.parse_losses(model(images, mode='loss'))[0].backward()
    optimizer.step()

    values, = reports
    changes = {name: value - before[name]
               for name, value in copies(model).items()}
    change, weight = by_part(changes), by_part(before)
    assert len(values) == 2 * len(PARTS)
    for part in PARTS:
        assert values[f'gradient_{part}'] == pytest.approx(
            expected[part].norm().item(), rel=1e-4)
        ratio = (change[part].norm() / weight[part].norm()).item()
        assert values[f'update_ratio_{part}'] == pytest.approx(
            ratio, rel=1e-4)
        assert ratio > 0


@pytest.fixture
def small():
    """Weights 3 and 4 of one part, gradients 1 and 0; 2 of another."""
    model = nn.Module()
    model.backbone = nn.Linear(2, 1, bias=False)
    model.head = nn.Linear(1, 1, bias=False)
    model.frozen = nn.Linear(1, 1).requires_grad_(False)
    with torch.no_grad():
        model.backbone.weight.copy_(torch.tensor([[3.0, 4.0]]))
        model.head.weight.fill_(2.0)
    return model


def test_values_worked_by_hand(small):
    optimizer = torch.optim.SGD(small.parameters(), lr=0.5)
    reports = []

    def keep(values, seconds):
        assert seconds > 0
        reports.append(values)

    StepWatch(small, optimizer, keep).look_at_next_step()
    small.backbone.weight.sum().backward()
    optimizer.step()
    # The head got no gradient; what is frozen is nowhere.
    assert reports == [
        dict(
            gradient_backbone=pytest.approx(2**0.5),
            update_ratio_backbone=pytest.approx(0.5 * 2**0.5 / 5),
            gradient_pretraining_parts=0.0,
            update_ratio_pretraining_parts=0.0)
    ]
    assert all(type(value) is float for value in reports[0].values())


def test_it_looks_at_a_step_when_it_is_asked(small):
    optimizer = torch.optim.SGD(small.parameters(), lr=0.5)
    reports = []

    def keep(values, seconds):
        assert seconds > 0
        reports.append(values)

    watch = StepWatch(small, optimizer, keep)
    counts = []
    for asked in (0, 1, 0, 2, 0):
        for _ in range(asked):
            watch.look_at_next_step()
        small.backbone.weight.sum().backward()
        optimizer.step()
        counts.append(len(reports))
    assert counts == [0, 1, 1, 2, 2]


# What watching costs, in seconds.


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves: ``clock.now``."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(monitoring_cost_hook, 'time',
                        SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


@pytest.fixture
def runner(caplog):
    """As much of a Runner as the hook uses."""
    caplog.set_level(logging.INFO)
    written = []
    return SimpleNamespace(
        iter=0,
        written=written,
        visualizer=SimpleNamespace(
            add_scalars=lambda values, step: written.append((step, values))),
        message_hub=MessageHub.get_instance('cost'),
        logger=logging.getLogger('cost'))


def values_of(runner, name):
    return [values[f'monitoring/{name}'] for _, values in runner.written]


def step(hook, runner, clock, seconds, **spent):
    """One iteration, with some seconds of watching in it."""
    clock.now += seconds
    for name, value in spent.items():
        note_monitoring_seconds(runner.message_hub, name, value)
    hook.after_train_iter(runner)
    runner.iter += 1


def test_seconds_add_up_by_name(runner):
    hub = runner.message_hub
    assert monitoring_seconds(hub) == {}
    note_monitoring_seconds(hub, 'health', 1.5)
    note_monitoring_seconds(hub, 'probe', 4.0)
    note_monitoring_seconds(hub, 'health', 2.0)
    assert monitoring_seconds(hub) == dict(health=3.5, probe=4.0)
    # A copy: what is done to it changes nothing.
    monitoring_seconds(hub).clear()
    assert monitoring_seconds(hub) == dict(health=3.5, probe=4.0)


def test_share_and_last_line_worked_by_hand(runner, clock, caplog):
    hook = MonitoringCostHook(interval=2)
    clock.now = 100.0
    hook.before_run(runner)
    clock.now = 105.0
    hook.before_train(runner)
    step(hook, runner, clock, 5, pictures=2.0)  # 2 of 10 s
    step(hook, runner, clock, 10, health=4.0)  # 6 of 20 s
    step(hook, runner, clock, 10)
    step(hook, runner, clock, 10, health=1.0, pictures=1.0)  # 8 of 40 s
    assert values_of(runner, 'share') == pytest.approx(
        [0.2, 0.3, 0.2])
    hook.after_train(runner)
    assert caplog.messages == [
        'Watching took 8.0 s (health 5.0 s, pictures 3.0 s), 25.0% more than '
        'the 32.0 s of the training alone.'
    ]


def test_nothing_was_watched(runner, clock, caplog):
    hook = MonitoringCostHook()
    hook.before_run(runner)
    hook.before_train(runner)
    step(hook, runner, clock, 8)
    assert values_of(runner, 'share') == [0.0]
    hook.after_train(runner)
    assert caplog.messages == [
        'Watching took 0.0 s (nothing), 0.0% more than the 8.0 s of the '
        'training alone.'
    ]


def test_values_appear_at_their_interval(runner, clock):
    hook = MonitoringCostHook(interval=50)
    hook.before_run(runner)
    hook.before_train(runner)
    counts = {}
    for iteration in (0, 1, 48, 49, 50, 99):
        runner.iter = iteration
        step(hook, runner, clock, 1)
        counts[iteration] = len(values_of(runner, 'share'))
    assert counts == {0: 1, 1: 1, 48: 1, 49: 2, 50: 2, 99: 3}


def test_resumed_run_counts_its_own_seconds(runner, clock, caplog):
    note_monitoring_seconds(runner.message_hub, 'pictures', 500.0)
    note_monitoring_seconds(runner.message_hub, 'health', 7.0)
    hook = MonitoringCostHook(interval=1)
    hook.before_run(runner)
    runner.iter = 30
    hook.before_train(runner)
    step(hook, runner, clock, 10, health=1.0, probe=1.0)
    assert values_of(runner, 'share') == pytest.approx([0.2])
    hook.after_train(runner)
    assert 'Watching took 2.0 s (health 1.0 s, pictures 0.0 s, probe 1.0 s)' \
        in caplog.text


def test_memory_is_that_of_this_process(runner, clock):
    hook = MonitoringCostHook()
    hook.before_run(runner)
    hook.before_train(runner)
    step(hook, runner, clock, 1)
    value, = values_of(runner, 'peak_host_memory')
    page = os.sysconf('SC_PAGE_SIZE')
    resident = int(Path('/proc/self/statm').read_text().split()[1]) * page
    installed = os.sysconf('SC_PHYS_PAGES') * page
    assert 0.5 * resident < value * 2**20 < installed
    assert value > 50


class Spend(Hook):
    """Claim to have watched for long, in the first iteration."""

    def after_train_iter(self, runner, **kwargs):
        if runner.iter == 0:
            note_monitoring_seconds(runner.message_hub, 'pictures', 1000.0)


def test_real_run_and_its_resume(make_runner, logged):
    options = {
        'train_cfg.max_iters': 2,
        'default_hooks.checkpoint.interval': 2,
        'MonitoringCostHook.interval': 1,
        'FeatureHealthHook.interval': 1
    }
    runner = make_runner(options, hooks=[(Spend(), 'NORMAL')])
    runner.train()
    shares = logged(runner, 'monitoring/share')
    assert shares[2] > 1
    assert logged(runner, 'monitoring/peak_host_memory').keys() == {1, 2}

    resumed = make_runner(
        {**options, 'train_cfg.max_iters': 4, 'resume': True})
    resumed.train()
    shares = logged(resumed, 'monitoring/share')
    assert shares.keys() == {3, 4}
    assert 0 < shares[3] < 1 and 0 < shares[4] < 1
    text = next(Path(resumed._log_dir).glob('*.log')).read_text()
    assert text.count('Watching took') == 1
    # The sums themselves go on.
    assert monitoring_seconds(resumed.message_hub)['pictures'] == 1000
