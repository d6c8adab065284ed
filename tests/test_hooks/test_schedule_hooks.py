"""Hooks that change the model as training goes on."""
import math

import pytest
import torch
from mmengine.hooks import Hook

from mask_jepa.hooks import EMATargetHook, QueryNoiseHook

# EMATargetHook: momentum and copies.


BATCH_NORM = dict(_delete_=True, type='BN', requires_grad=True)


def test_momentum_at_the_ends_and_in_the_middle():
    hook = EMATargetHook(begin_momentum=0.9, end_momentum=0.98)
    assert hook.momentum(0, 100) == pytest.approx(0.9)
    assert hook.momentum(50, 100) == pytest.approx(0.94)
    assert hook.momentum(100, 100) == pytest.approx(0.98)


def test_momentum_of_four_steps_worked_by_hand():
    """cos(0), cos(pi/4), cos(pi/2), cos(3 pi/4)."""
    hook = EMATargetHook(begin_momentum=0.6, end_momentum=1.0)
    half_root = 2**0.5 / 2
    expected = [1 - 0.2 * (1 + cosine)
                for cosine in (1, half_root, 0, -half_root)]
    assert [hook.momentum(step, 4) for step in range(4)
            ] == pytest.approx(expected)


def test_defaults_are_those_of_the_design():
    hook = EMATargetHook()
    assert hook.momentum(0, 10) == pytest.approx(0.996)
    assert hook.momentum(10, 10) == pytest.approx(1.0)


@pytest.mark.parametrize('name', ['begin_momentum', 'end_momentum'])
@pytest.mark.parametrize('value', [-0.1, 1.1])
def test_wrong_option_is_named(name, value):
    with pytest.raises(ValueError, match=f'{name} .* {value}'):
        EMATargetHook(**{name: value})


def encoder_state(model):
    """Online parameters and buffers, by their name in the target."""
    parameters, buffers = {}, {}
    for part, module in (('backbone', model.backbone),
                         ('pixel_decoder', model.panoptic_head.pixel_decoder)):
        for name, value in module.named_parameters():
            parameters[f'{part}.{name}'] = value.detach().clone()
        for name, value in module.named_buffers():
            buffers[f'{part}.{name}'] = value.clone()
    return parameters, buffers


class Recorder(Hook):
    """Keep the online branch as every step of the optimiser leaves it."""

    def __init__(self):
        self.online = []

    def before_train(self, runner):
        self.start, _ = encoder_state(runner.model)
        optimizer = runner.optim_wrapper.optimizer
        step = optimizer.step

        def recorded_step(*args, **kwargs):
            result = step(*args, **kwargs)
            self.online.append(encoder_state(runner.model))
            return result

        optimizer.step = recorded_step


# Ten iterations: with 4 to a step, the last step has only two.
@pytest.mark.parametrize('accumulated, num_steps', [(1, 10), (4, 3)])
def test_target_equals_the_formula_in_a_real_run(make_runner, logged,
                                                 accumulated, num_steps):
    recorder = Recorder()
    runner = make_runner({
        'train_cfg.max_iters': 10,
        'optim_wrapper.accumulative_counts': accumulated,
        'model.backbone.norm_cfg': BATCH_NORM,
        'EMATargetHook.begin_momentum': 0.5,
    }, hooks=[(recorder, 'VERY_HIGH')])
    runner.train()

    assert len(recorder.online) == num_steps
    expected = {name: value.double()
                for name, value in recorder.start.items()}
    momenta = []
    for step, (parameters, _) in enumerate(recorder.online):
        cosine = math.cos(math.pi * step / num_steps)
        momenta.append(1 - 0.5 * (1 + cosine) / 2)
        for name, value in parameters.items():
            expected[name] = (
                momenta[-1] * expected[name] +
                (1 - momenta[-1]) * value.double())
    target = runner.model.target
    for name, value in target.named_parameters():
        torch.testing.assert_close(value, expected[name].float())
    # Enough has moved for the comparison to mean something.
    parameters, buffers = recorder.online[-1]
    moved = target.backbone.conv1.weight
    assert not torch.allclose(moved, parameters['backbone.conv1.weight'])
    assert not torch.allclose(moved, recorder.start['backbone.conv1.weight'])
    assert len(buffers) > 20
    for name, value in target.named_buffers():
        assert torch.equal(value, buffers[name]), name

    # Of the step that an iteration belongs to.
    assert logged(runner, 'ema/momentum') == pytest.approx({
        iteration + 1: momenta[iteration // accumulated]
        for iteration in range(10)
    })


def test_a_second_hook_stops_the_run(make_runner):
    """As where an old config still lists the hooks in custom_hooks."""
    runner = make_runner({'custom_hooks': [dict(type='EMATargetHook')]})
    with pytest.raises(ValueError, match='there are 2 EMATargetHooks'):
        runner.train()


def test_a_run_without_the_hook_stops(make_runner):
    runner = make_runner()
    runner._hooks = [hook for hook in runner.hooks
                     if not isinstance(hook, EMATargetHook)]
    with pytest.raises(RuntimeError, match='The target would never move'):
        runner.train()


# QueryNoiseHook: the noise of the queries.


def sigmas(iterations, max_iters=100, **options):
    hook = QueryNoiseHook(**options)
    return [hook.sigma(iteration, max_iters) for iteration in iterations]


def test_constant_stays_at_its_start():
    assert sigmas([0, 50, 100]) == [1.0, 1.0, 1.0]
    assert sigmas([0, 99], start=0.3, end=0.9) == [0.3, 0.3]


def test_linear():
    assert sigmas([0, 25, 50, 100], schedule='linear') == pytest.approx(
        [1, 0.75, 0.5, 0])


def test_cosine():
    eighth = (1 - math.cos(math.pi / 4)) / 2
    assert sigmas([0, 25, 50, 100], schedule='cosine') == pytest.approx(
        [1, 1 - eighth, 0.5, 0])


@pytest.mark.parametrize('schedule', ['linear', 'cosine'])
def test_between_two_iterations(schedule):
    found = sigmas([0, 20, 30, 40, 70],
                   schedule=schedule,
                   start=0.8,
                   end=0.2,
                   begin_iter=20,
                   end_iter=40)
    assert found == pytest.approx([0.8, 0.8, 0.5, 0.2, 0.2])


def test_end_as_a_share_of_the_training():
    assert sigmas([0, 10, 20, 40], max_iters=60, schedule='linear',
                  end_iter=1 / 3) == pytest.approx([1, 0.5, 0, 0])
    assert sigmas([0, 30, 60], max_iters=60, schedule='linear',
                  end_iter=1.0) == pytest.approx([1, 0.5, 0])


def test_rising_schedule():
    assert sigmas([0, 50, 100], schedule='linear', start=0,
                  end=1) == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize('options, named', [
    (dict(schedule='step'), 'schedule .*step'),
    (dict(start=1.2), 'start .* 1.2'),
    (dict(end=-0.1), 'end .* -0.1'),
    (dict(begin_iter=10, end_iter=10), 'end_iter=10 .* begin_iter=10'),
    (dict(end_iter=-1), 'end_iter=-1 .* begin_iter=0'),
    (dict(end_iter=800.0), r'whole number .* \(0, 1\], but is 800.0'),
    (dict(end_iter=0.0), r'\(0, 1\], but is 0.0'),
])
def test_wrong_noise_option_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        QueryNoiseHook(**options)


@pytest.mark.parametrize('end_iter, resolved', [(0.5, 3), (None, 6)])
def test_change_that_would_end_before_it_begins_is_refused(
        make_runner, end_iter, resolved):
    runner = make_runner({
        'train_cfg.max_iters': 6,
        'QueryNoiseHook.begin_iter': 6,
        'QueryNoiseHook.end_iter': end_iter
    })
    with pytest.raises(
            ValueError, match=f'begin_iter=6 .* is {resolved} of 6 iter'):
        runner.train()
    assert runner.iter == 0


def test_model_follows_the_schedule_in_a_real_run(make_runner, logged):
    seen = []

    class Watch(Hook):

        def after_train_iter(self, runner, **kwargs):
            seen.append(float(runner.model.random_queries.sigma))

    runner = make_runner({
        'train_cfg.max_iters': 4,
        'QueryNoiseHook.schedule': 'linear',
        'QueryNoiseHook.end': 0.2,
        'QueryNoiseHook.end_iter': None
    }, hooks=[(Watch(), 'LOWEST')])
    runner.train()
    assert seen == pytest.approx([1.0, 0.8, 0.6, 0.4])
    assert list(logged(runner, 'queries/sigma').values()) == pytest.approx(
        seen)
    assert runner.model.random_queries.lowest_sigma.item() == pytest.approx(
        0.4)
