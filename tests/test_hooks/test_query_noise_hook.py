import math

import pytest
from mmengine.hooks import Hook

from projects.mask_jepa.hooks import QueryNoiseHook


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
def test_wrong_option_is_named(options, named):
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
