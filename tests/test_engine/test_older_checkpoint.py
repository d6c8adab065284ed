"""Checkpoints of release 0.1.0 load, export and go on.

tests/data/v0.1.0_iter_4.pth is what ``tools/train.py`` of that release
(commit fe30f74) wrote after 4 of 8 iterations of the tiny config with
``TINY_OPTIONS`` of scenes_and_globals.py and ``NETWORK`` below,
``train_cfg.max_iters=8`` and ``default_hooks.checkpoint.interval=4``, on the
eight scenes of the fixture ``image_folder``. Its optimiser has 187 groups of
one tensor each.
"""
import copy
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from torch import nn

from mask_jepa.engine import adapt_older_checkpoint
from mask_jepa.weights import load_checkpoint, pretraining_config

PATH = Path(__file__).parents[1] / 'data' / 'v0.1.0_iter_4.pth'
CHANNELS = 16
ATTENTION = dict(embed_dims=CHANNELS)
FFN = dict(embed_dims=CHANNELS, feedforward_channels=32)
NETWORK = {
    'model.backbone.base_channels': 4,
    'model.backbone.stem_channels': 4,
    'model.backbone.norm_cfg.num_groups': 2,
    'model.panoptic_head': dict(
        in_channels=[4, 8, 16, 32],
        feat_channels=CHANNELS,
        out_channels=CHANNELS,
        positional_encoding=dict(num_feats=CHANNELS // 2),
        pixel_decoder=dict(
            norm_cfg=dict(num_groups=2),
            positional_encoding=dict(num_feats=CHANNELS // 2),
            encoder=dict(
                layer_cfg=dict(self_attn_cfg=ATTENTION, ffn_cfg=FFN))),
        transformer_decoder=dict(
            layer_cfg=dict(
                self_attn_cfg=ATTENTION,
                cross_attn_cfg=ATTENTION,
                ffn_cfg=FFN)))
}
OPTIONS = {
    **NETWORK,
    'model.prototypes.stock_losses': True,
    'train_cfg.max_iters': 8,
    'default_hooks.checkpoint.interval': 8,
    'load_from': str(PATH)
}
# How release 0.1.0 went on: the sum of the losses, as a mean from the first
# iteration on, and the learning rate, of iterations 5 to 8.
LOSSES = [3.195490, 3.097103, 3.010183, 2.982042]
RATES = [7.5e-4, 5e-4, 2.5e-4, 6.698730e-5]


class Watch(Hook):
    """Keep the optimiser as it is before the first iteration."""

    def before_train(self, runner):
        optimizer = runner.optim_wrapper.optimizer
        self.moments = {
            name: copy.deepcopy(optimizer.state[parameter])
            for name, parameter in runner.model.named_parameters()
            if parameter.requires_grad
        }
        self.groups = copy.deepcopy(optimizer.param_groups)
        self.iter = runner.iter


@pytest.fixture
def checkpoint():
    """What release 0.1.0 wrote."""
    return torch.load(PATH, weights_only=True)


def test_new_run_starts_from_its_weights(make_runner, checkpoint):
    runner = make_runner(OPTIONS)
    runner.load_or_resume()
    weights = runner.model.state_dict()
    assert weights.keys() == checkpoint['state_dict'].keys()
    for name, value in checkpoint['state_dict'].items():
        # The random numbers of a new run are its own.
        if not name.startswith('random.'):
            assert torch.equal(weights[name], value), name
    runner.train()
    assert runner.iter == 8


def test_exports(checkpoint, root, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'exported.pth'
    monkeypatch.setattr(
        sys, 'argv',
        ['export', str(PATH), '--to', 'mmdet', '--out', str(out)])
    runpy.run_path(
        str(root / 'tools/export_pretrained.py'), run_name='__main__')
    # As many as the release itself exported.
    assert 'Wrote 162 tensors' in capsys.readouterr().out
    for name, value in torch.load(out)['state_dict'].items():
        assert torch.equal(value, checkpoint['state_dict'][name]), name
    config = pretraining_config(load_checkpoint(str(PATH)))
    assert config.model.backbone.base_channels == 4


def test_training_goes_on(make_runner, checkpoint):
    watch = Watch()
    runner = make_runner({**OPTIONS, 'resume': True},
                         hooks=[(watch, 'VERY_HIGH')])
    runner.train()
    assert watch.iter == 4 and runner.iter == 8

    # The release numbered the tensors in the order of the model.
    saved = checkpoint['optimizer']['state']
    assert len(watch.moments) == len(saved) == 187
    for (name, moments), expected in zip(watch.moments.items(),
                                         saved.values()):
        assert moments.keys() == {'step', 'exp_avg', 'exp_avg_sq'}
        for key, value in expected.items():
            assert torch.equal(moments[key], value), f'{name} {key}'
    assert len(watch.groups) == 2
    for group in watch.groups:
        assert group['lr'] == checkpoint['optimizer']['param_groups'][0]['lr']
        assert group['initial_lr'] == 1e-3
    for scheduler in runner.param_schedulers:
        assert scheduler.base_values == [1e-3, 1e-3]
        assert len(scheduler.get_last_value()) == 2

    path, = Path(runner.work_dir).glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [line for line in lines if 'loss' in line]
    assert [line['loss'] for line in lines] == pytest.approx(LOSSES, rel=1e-4)
    assert [line['lr'] for line in lines] == pytest.approx(RATES)
    # Neither on the console any more, nor saved for ever.
    assert 'train/target_rank' not in runner.message_hub.log_scalars
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    assert text.count('took over its optimiser') == 1
    assert 'WARNING - resumed key' not in text

    again = make_runner({**OPTIONS, 'load_from': None, 'resume': True,
                         'train_cfg.max_iters': 9})
    again.train()
    text = next(Path(again._log_dir).glob('*.log')).read_text()
    assert 'took over' not in text and again.iter == 9


def test_checkpoint_of_another_network_is_refused(make_runner):
    runner = make_runner({**OPTIONS, 'resume': True,
                          'model.reconstruction': False})
    with pytest.raises(ValueError, match='187 tensors in 187 group.*--init'):
        runner.train()


class Small:
    """Two layers, of which the first is frozen, and a schedule's state."""

    def __init__(self, groups, num_values, **others):
        self.model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        self.model[0].requires_grad_(False)
        self.bias, self.weight = self.model[1].bias, self.model[1].weight
        # In another order than that of the model.
        self.optimizer = torch.optim.AdamW([
            dict(params=[self.bias], weight_decay=0.0, name='bias'),
            dict(params=[self.weight], name='weight')])
        indices = [index for group in groups for index in group['params']]
        shapes = {index: tensor.shape for index, tensor in zip(
            indices, self.model.parameters() if len(indices) == 4
            else self.model[1].parameters())}
        state = {
            index: dict(step=torch.tensor(3.), exp_avg=torch.full(
                shape, float(index)), exp_avg_sq=torch.ones(shape))
            for index, shape in shapes.items()
        }
        self.checkpoint = dict(
            optimizer=dict(state=state, param_groups=groups,
                           base_param_settings=dict(lr=5.0), **others),
            param_schedulers=[
                dict(base_values=list(range(num_values)),
                     _last_value=list(range(num_values)))
            ],
            message_hub=MessageHub('small').state_dict())

    def adapt(self):
        adapt_older_checkpoint(self.checkpoint, self.model, self.optimizer)
        return self.checkpoint['optimizer']


def options(*params, **others):
    return dict(params=list(params), lr=0.1, weight_decay=0.2, betas=(0, 0),
                eps=1e-8, amsgrad=False, **others)


def test_groups_and_schedules_follow_their_tensors():
    small = Small([options(0, lr_mult=1.0), options(1)], num_values=3,
                  loss_scaler=dict(scale=8.0))
    state = small.adapt()
    assert [group['params'] for group in state['param_groups']] == [[0], [1]]
    assert [group['name'] for group in state['param_groups']] == [
        'bias', 'weight']
    assert not any('lr_mult' in group for group in state['param_groups'])
    scheduler, = small.checkpoint['param_schedulers']
    assert scheduler == dict(base_values=[1, 0], _last_value=[1, 0])
    assert state['loss_scaler'] == dict(scale=8.0)
    assert 'base_param_settings' not in state
    small.optimizer.load_state_dict(state)
    assert small.optimizer.state[small.bias]['exp_avg'].tolist() == [1]
    assert small.optimizer.state[small.weight]['exp_avg'].tolist() == [[0] * 3]


def test_one_group_of_all_has_frozen_tensors_as_well():
    small = Small([options(0, 1, 2, 3)], num_values=1)
    small.optimizer.load_state_dict(small.adapt())
    assert small.optimizer.state[small.bias]['exp_avg'].tolist() == [3]
    assert small.optimizer.state[small.weight]['exp_avg'].tolist() == [[2] * 3]
    assert small.checkpoint['param_schedulers'][0]['base_values'] == [0, 0]


def test_what_fits_stays_as_it_is():
    small = Small([options(0, name='a'), options(1, name='b')], num_values=2)
    state = small.checkpoint['optimizer']['state']
    with pytest.raises(ValueError, match=r'moments of another .* \(1,\)'):
        small.adapt()
    state[0], state[1] = state[1], state[0]
    before = copy.deepcopy(small.checkpoint)
    state = small.adapt()
    assert state['param_groups'] == before['optimizer']['param_groups']
    assert small.checkpoint['param_schedulers'] == before['param_schedulers']
    small.checkpoint.pop('optimizer')
    adapt_older_checkpoint(small.checkpoint, small.model, small.optimizer)


@pytest.mark.parametrize('groups, sentence', [
    ([options(0)], '1 tensors in 1 group.*--init'),
    # Of today, with other options: in no order that is known.
    ([options(0, 1, name='a'), options(2, name='b'), options(3, name='c')],
     '4 tensors in 3 group'),
])
def test_other_tensors_are_refused(groups, sentence):
    with pytest.raises(ValueError, match=sentence):
        Small(groups, num_values=2).adapt()


def test_other_shapes_are_refused():
    small = Small([options(0), options(1)], num_values=2)
    small.checkpoint['optimizer']['state'][1]['exp_avg'] = torch.zeros(5)
    with pytest.raises(ValueError, match='not those of this config'):
        small.adapt()


def test_options_that_cannot_be_joined_are_refused():
    small = Small([options(0), dict(options(1), lr=0.5)], num_values=2)
    small.optimizer = torch.optim.AdamW(
        [dict(params=[small.weight, small.bias], name='both')])
    with pytest.raises(ValueError, match='several learning rates .*as they'):
        small.adapt()
