import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from scenes_and_globals import numpy_state

from mask_jepa.evaluation.health_check import check_health
from mask_jepa.hooks import FeatureHealthHook, feature_health_hook

PARTS = ('backbone', 'pixel_decoder', 'transformer_decoder',
         'pretraining_parts')
STEP_KEYS = {f'{name}_{part}' for name in ('gradient', 'update_ratio')
             for part in PARTS}
OF_FEATURES = ('std', 'rank', 'cosine_within', 'cosine_between', 'norm')
HEALTH_KEYS = {f'{branch}_{name}' for branch in ('target', 'online')
               for name in OF_FEATURES} | {
                   'mask_entropy', 'queries_used', 'logits_above_zero',
                   'places_covered', 'leak'
               }
DROPOUT = 'model.panoptic_head.transformer_decoder.layer_cfg.ffn_cfg.ffn_drop'


class Interrupted(Exception):
    """The run was killed."""


class Interrupt(Hook):

    def __init__(self, iterations):
        self.iterations = iterations

    def after_train_iter(self, runner, **kwargs):
        if runner.iter + 1 == self.iterations:
            raise Interrupted


class WatchRules(Hook):
    """Keep the rules that are true after each iteration."""

    def __init__(self):
        self.names = []

    def after_train_iter(self, runner, **kwargs):
        hook, = (hook for hook in runner.hooks
                 if isinstance(hook, FeatureHealthHook))
        self.names.append([rule.name for rule in hook.record.true_rules])


def options_of(max_iters, interval=1, **options):
    """Options of a run that checks; those of the hook by their names."""
    return {
        'train_cfg.max_iters': max_iters,
        'default_hooks.checkpoint.interval': max_iters,
        'FeatureHealthHook.interval': interval,
        **{f'FeatureHealthHook.{name}': value
           for name, value in options.items()}
    }


def health_file(runner):
    return json.loads((Path(runner.work_dir) / 'health.json').read_text())


def log_text(runner):
    return next(Path(runner._log_dir).glob('*.log')).read_text()


def history(runner, name):
    return runner.message_hub.get_scalar(f'train/{name}').data[0].tolist()


@pytest.fixture
def checks(logged):
    """Read the values of the checks, by iteration."""

    def read(runner):
        columns = {name: logged(runner, f'health/{name}')
                   for name in HEALTH_KEYS | STEP_KEYS}
        return {
            step: {name: column[step] for name, column in columns.items()}
            for step in columns['leak']
        }

    return read


@pytest.fixture
def collapse_from(monkeypatch):
    """From the n-th check on, say that the target uses few channels."""

    def set_first(first):
        calls = []

        def check(model, image):
            calls.append(image)
            values = check_health(model, image)
            rank = 2.0 if len(calls) >= first else 20.0
            return dict(values, target_rank=rank, target_std=0.8,
                        target_cosine_between=0.1, queries_used=0.6,
                        mask_entropy=1.0)

        monkeypatch.setattr(feature_health_hook, 'check_health', check)

    return set_first


@pytest.mark.parametrize('accumulated', [1, 2])
def test_training_is_the_same_bit_for_bit(make_runner, logged, accumulated):
    ends = []
    for watched in (True, False):
        random.seed(3)
        np.random.seed(3)
        runner = make_runner({
            **options_of(4), DROPOUT: 0.1,
            'optim_wrapper.accumulative_counts': accumulated
        })
        if not watched:
            runner._hooks = [hook for hook in runner.hooks
                             if not isinstance(hook, FeatureHealthHook)]
        runner.train()
        for name in ('health/leak', 'health/gradient_backbone'):
            assert bool(logged(runner, name)) == watched
        ends.append((runner, torch.get_rng_state(),
                     numpy_state(), random.getstate()))
    (one, *states), (other, *expected) = ends
    assert torch.equal(states.pop(0), expected.pop(0))
    assert states == expected
    for name, value in other.model.state_dict().items():
        assert torch.equal(value, one.model.state_dict()[name]), name
    moments = other.optim_wrapper.state_dict()['state']
    assert len(moments) > 100
    for index, state in one.optim_wrapper.state_dict()['state'].items():
        for name, value in state.items():
            assert torch.equal(value, moments[index][name]), name
    # Nothing but the losses is in the objective.
    assert history(one, 'loss') == history(other, 'loss')


def test_values_are_written_at_each_check(make_runner, checks, logged):
    runner = make_runner(options_of(5, interval=2))
    runner.train()
    values = checks(runner)
    # The first iteration and each second one.
    assert values.keys() == {1, 2, 4}
    assert len({line['target_rank'] for line in values.values()}) == 3
    assert logged(runner, 'loss').keys() == {1, 2, 3, 4, 5}
    # Nothing for the console.
    names = ' '.join(runner.message_hub.log_scalars)
    assert not any(name in names for name in HEALTH_KEYS | STEP_KEYS)


def test_values_are_those_of_the_batch_after_the_step(make_runner, checks):
    expected = []

    class Check(Hook):

        def after_train_iter(self, runner, batch_idx, data_batch=None,
                             outputs=None):
            image = runner.model.data_preprocessor(data_batch)['inputs']
            expected.append(check_health(runner.model, image))

    runner = make_runner(options_of(3), hooks=[(Check(), 'BELOW_NORMAL')])
    runner.train()
    assert len(checks(runner)) == len(expected) == 3
    for line, values in zip(checks(runner).values(), expected):
        assert {name: line[name] for name in values} == values
    assert runner.message_hub.get_info('monitoring_seconds')['health'] > 0


def test_file_holds_the_latest_check(make_runner, checks):
    runner = make_runner(options_of(5, interval=2))
    runner.train()
    content = health_file(runner)
    line = checks(runner)[4]
    assert content['iteration'] == 4
    assert content['values'] == {name: line[name] for name in HEALTH_KEYS}
    # The checks of iterations 2 and 4 count; patience wants three.
    assert content['verdict'] == 'not judged yet'
    assert len(content['rules']) == 6


def test_a_collapse_warns_once_and_is_the_verdict(make_runner,
                                                  collapse_from):
    collapse_from(2)
    runner = make_runner(options_of(6, patience=3, begin_share=0.0))
    runner.train()
    text = log_text(runner)
    assert text.count('Sign of') == 1
    assert ('low rank in 3 checks in a row (target_rank < 10): the target '
            'uses few') in text
    assert ('Health of the features: partial collapse (low rank: the target '
            'uses few') in text
    content = health_file(runner)
    assert content['verdict'] == 'partial collapse'
    assert [rule['name'] for rule in content['rules'] if rule['fired']] == [
        'low rank'
    ]


def test_a_healthy_run_gets_no_warning(make_runner, collapse_from):
    collapse_from(99)
    runner = make_runner(options_of(4, patience=1, begin_share=0.0))
    runner.train()
    text = log_text(runner)
    assert 'Sign of' not in text
    assert 'Health of the features: healthy (no sign' in text


@pytest.mark.parametrize('begin, first', [(0.0, 3), (0.5, 5)])
def test_begin_delays_the_rules(make_runner, collapse_from, begin, first):
    """The second check in a row that counts."""
    collapse_from(2)
    watch = WatchRules()
    options = options_of(6, patience=2, begin_share=begin)
    make_runner(options, hooks=[(watch, 'LOWEST')]).train()
    assert watch.names == [['low rank'] if iteration >= first else []
                           for iteration in range(1, 7)]


@pytest.mark.slow
@pytest.mark.parametrize('patience, warned', [(3, 'resumed'), (2, 'first')])
def test_resumed_run_takes_up_what_was_found(make_runner, collapse_from,
                                             patience, warned):
    """Interrupted after the third check, of which two held a sign."""
    options = {
        **options_of(5, patience=patience, begin_share=0.0),
        'default_hooks.checkpoint.interval': 3
    }
    collapse_from(2)
    straight = make_runner(options, 'straight')
    straight.train()

    collapse_from(2)
    first = make_runner(options, 'resumed', hooks=[(Interrupt(3), 'LOWEST')])
    with pytest.raises(Interrupted):
        first.train()
    collapse_from(1)
    resumed = make_runner({**options, 'resume': True}, 'resumed')
    resumed.train()
    counts = dict(
        first=log_text(first).count('Sign of'),
        resumed=log_text(resumed).count('Sign of'))
    assert counts == {**dict(first=0, resumed=0), warned: 1}
    # Thresholds of the first check, the same verdict, the same values.
    assert health_file(resumed) == health_file(straight)


@pytest.mark.parametrize('max_norm', [0.05, 1e6])
def test_clipped_gradients_of_the_parts_add_up(make_runner, logged,
                                               max_norm):
    options = {**options_of(3), 'optim_wrapper.clip_grad.max_norm': max_norm}
    runner = make_runner(options)
    runner.train()
    parts = [logged(runner, f'health/gradient_{part}').values()
             for part in PARTS]
    totals = history(runner, 'grad_norm')
    assert len(totals) == 3 and min(totals) > 0.1
    for total, *norms in zip(totals, *parts):
        assert min(norms) > 0
        assert sum(norm**2 for norm in norms)**0.5 == pytest.approx(
            min(total, max_norm), rel=1e-4)


def test_other_ranks_do_nothing(make_runner, logged, monkeypatch):
    monkeypatch.setattr(feature_health_hook, 'is_main_process',
                        lambda: False)
    runner = make_runner(options_of(1))
    runner.train()
    assert not (Path(runner.work_dir) / 'health.json').exists()
    for name in HEALTH_KEYS | STEP_KEYS:
        assert not logged(runner, f'health/{name}')


@pytest.mark.parametrize('name, value', [('interval', 0), ('patience', 0),
                                         ('begin_share', -0.1),
                                         ('begin_share', 1.0)])
def test_wrong_option_is_named(name, value):
    with pytest.raises(
            ValueError, match=f'FeatureHealthHook.{name} .*{value}'):
        FeatureHealthHook(**{name: value})
