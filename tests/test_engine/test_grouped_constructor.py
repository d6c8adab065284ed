"""The same training as with mmengine's constructor, in a few groups."""
import logging
import math

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from torch import nn

STOCK = 'DefaultOptimWrapperConstructor'
KEYS = 'optim_wrapper.paramwise_cfg.custom_keys.'


@pytest.fixture
def log(caplog):
    """What the current logger says, from INFO on."""
    logger = MMLogger.get_current_instance()
    logger.setLevel(logging.INFO)
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def build(tiny_config, tiny_model):
    """Build the optimiser of a config for the very small model."""

    def make(options=None, model=tiny_model):
        config = tiny_config(options).optim_wrapper.to_dict()
        config.pop('_scope_', None)
        return build_optim_wrapper(model, config)

    return make


def settings(optim_wrapper):
    """Learning rate and weight decay of each tensor."""
    return {
        tensor: (group['lr'], group['weight_decay'])
        for group in optim_wrapper.optimizer.param_groups
        for tensor in group['params']
    }


@pytest.mark.parametrize('options, num_groups', [
    ({}, 2),
    ({f'{KEYS}backbone.lr_mult': 0.1}, 3),
    ({f'{KEYS}backbone.lr_mult': 0.1, f'{KEYS}query_feat.lr_mult': 2.0}, 4),
])
def test_every_tensor_learns_as_with_the_stock_constructor(
        build, tiny_model, options, num_groups):
    stock = build({**options, 'optim_wrapper.constructor': STOCK})
    grouped = build(options)
    assert settings(grouped) == settings(stock)
    trained = {each for each in tiny_model.parameters() if each.requires_grad}
    assert set(settings(grouped)) == trained
    assert not trained & set(tiny_model.target.parameters())
    groups = grouped.optimizer.param_groups
    assert len(groups) == num_groups and len(stock.optimizer.param_groups) > 99
    assert len({group['name'] for group in groups}) == num_groups
    # What mmengine logs.
    assert grouped.get_lr()['lr'][0] == 1e-3
    assert grouped.get_lr().keys() == {'lr'}


def test_name_says_what_the_group_is(build):
    groups = build({f'{KEYS}backbone.lr_mult': 0.1}).optimizer.param_groups
    # Those with the optimiser's own learning rate first.
    assert [group['name'] for group in groups] == [
        'lr x 1, weight_decay x 1', 'lr x 1, weight_decay x 0',
        'lr x 0.1, weight_decay x 1'
    ]


def test_other_options_make_groups_of_their_own(build):
    betas = (0.8, 0.9)
    groups = build({f'{KEYS}query_feat.betas': betas}).optimizer.param_groups
    group, = (group for group in groups if group['betas'] == betas)
    assert len(group['params']) == 1 and 'betas (0.8, 0.9)' in group['name']


def test_without_any_option_nothing_frozen_is_trained(build):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    wrapper = build({'optim_wrapper.paramwise_cfg': None}, model)
    group, = wrapper.optimizer.param_groups
    assert group['params'] == list(model[1].parameters())


def test_log_has_one_line_and_real_warnings(build, tiny_model, log):
    build()
    line, = log.messages
    trained = [each for each in tiny_model.parameters() if each.requires_grad]
    assert line.startswith(f'AdamW trains {len(trained)} tensors in 2 group')
    assert ' numbers) with lr 0.001 and weight decay 0.05' in line
    log.clear()
    shared = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    shared[1].bias = shared[0].bias
    build({'optim_wrapper.paramwise_cfg.bypass_duplicate': True}, shared)
    assert 'is duplicate' in log.messages[0] and len(log.messages) == 2


def trained_weights(make_runner, options, work_dir):
    runner = make_runner(
        {
            'train_cfg.max_iters': 4,
            f'{KEYS}backbone.lr_mult': 0.1,
            **options
        }, work_dir)
    runner.train()
    return runner, dict(runner.model.named_parameters())


@pytest.mark.parametrize('options, exact', [
    ({'optim_wrapper.clip_grad': None}, True),
    ({'optim_wrapper.clip_grad': None,
      'optim_wrapper.accumulative_counts': 2}, True),
    ({'optim_wrapper.clip_grad.max_norm': 0.1}, False),
])
def test_weights_are_those_of_the_stock_constructor(make_runner, options,
                                                    exact):
    """Bit for bit, but for the order in which a norm adds gradients up."""
    _, expected = trained_weights(
        make_runner, {**options, 'optim_wrapper.constructor': STOCK}, 'stock')
    _, found = trained_weights(make_runner, options, 'grouped')
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if exact:
            assert torch.equal(found[name], value), name
        else:
            # A tenth of a step: the bias of a key has no gradient but
            # rounding, which AdamW scales up.
            torch.testing.assert_close(found[name], value, rtol=1e-3,
                                       atol=1e-4)


def test_learning_rate_of_the_log_is_scaled_by_the_batch(make_runner):
    """Batch 2 where the learning rate is for 8: a quarter, in all groups."""
    runner, _ = trained_weights(
        make_runner, {
            'auto_scale_lr.enable': True,
            'auto_scale_lr.base_batch_size': 8
        }, 'scaled')
    rates = [group['initial_lr']
             for group in runner.optim_wrapper.optimizer.param_groups]
    assert rates == pytest.approx([2.5e-4, 2.5e-4, 2.5e-5])
    # After a warm-up of two iterations, the cosine is at the second of four.
    logged = runner.message_hub.get_scalar('train/lr').data[0]
    assert logged[1] == pytest.approx(
        2.5e-4 * (1 + math.cos(math.pi / 4)) / 2)
    for scheduler in runner.param_schedulers:
        assert scheduler.base_values == pytest.approx(rates)
