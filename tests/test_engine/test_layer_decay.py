"""Layers of a backbone learn the more slowly the deeper they lie."""
import re

import pytest
import timm
from mmengine.optim import build_optim_wrapper
from mmpretrain.engine import LearningRateDecayOptimWrapperConstructor
from mmpretrain.models import ResNet, TIMMBackbone, VisionTransformer
from timm.optim import param_groups_layer_decay
from torch import nn

from mask_jepa.models.timm_backbone import FrozenNormTIMMBackbone
from mask_jepa.utils import RunError

RATE, LR = 0.5, 1e-3
NUM_LAYERS = 4
VIT = dict(
    arch=dict(embed_dims=32, num_layers=NUM_LAYERS, num_heads=4,
              feedforward_channels=64),
    img_size=64, out_type='featmap', out_indices=[NUM_LAYERS - 1])
TIMM_VIT = dict(model_name='vit_tiny_patch16_224', img_size=64, embed_dim=32,
                depth=NUM_LAYERS, num_heads=4)


class Network(nn.Module):
    """A backbone and something behind it."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(2, 2)


def build(network, **paramwise):
    paramwise.setdefault('layer_decay_rate', RATE)
    return build_optim_wrapper(network, dict(
        constructor='GroupedOptimWrapperConstructor', paramwise_cfg=paramwise,
        optimizer=dict(type='AdamW', lr=LR, weight_decay=0.05)))


def rates(network, optimizer):
    """Learning rate of each parameter, which stands in one group."""
    names = {value: key for key, value in network.named_parameters()}
    found = [(names[value], group['lr'])
             for group in optimizer.param_groups for value in group['params']]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_rates_are_those_of_the_formula():
    """Base, multiplier of the backbone, and the rate for each layer."""
    network = Network(VisionTransformer(**VIT))
    network.backbone.cls_token.requires_grad_(False)
    optimizer = build(network, custom_keys={
        'backbone': dict(lr_mult=0.1),
        'backbone.layers.1.ln': dict(lr_mult=0.1, decay_mult=0)}).optimizer
    found = rates(network, optimizer)
    assert found.keys() == {
        key for key, value in network.named_parameters()
        if value.requires_grad}
    assert found.pop('head.weight') == found.pop('head.bias') == LR
    for key, rate in found.items():
        layer = re.match(r'backbone\.layers\.(\d+)\.', key)
        if layer:
            below = NUM_LAYERS - int(layer[1])
        else:
            below = 0 if '.ln1.' in key else NUM_LAYERS + 1
        assert rate == pytest.approx(LR * 0.1 * RATE**below), key
    # The head, the last norm, each layer, the stem, and the norms of one.
    assert len(optimizer.param_groups) == 1 + 1 + NUM_LAYERS + 1 + 1


@pytest.mark.parametrize('backbone', [
    VisionTransformer(**VIT), ResNet(depth=50)], ids=['vit', 'resnet'])
def test_rates_are_those_of_mmpretrain(backbone):

    class Classifier(Network):

        def get_layer_depth(self, param_name):
            return self.backbone.get_layer_depth(param_name, 'backbone.')

    network = Classifier(backbone)
    stock = LearningRateDecayOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=LR, weight_decay=0.05)),
        dict(layer_decay_rate=RATE))(network)
    found = rates(network, build(network).optimizer)
    assert found == pytest.approx(rates(network, stock.optimizer))
    assert len(set(found.values())) > 5


def test_rates_are_those_of_timm():
    """As if the whole network was trained, with its last norm and head."""
    network = Network(FrozenNormTIMMBackbone(**TIMM_VIT, out_indices=(1, 3)))
    whole = timm.create_model(**TIMM_VIT)
    names = {value: key for key, value in whole.named_parameters()}
    expected = {names[value]: LR * group['lr_scale']
                for group in param_groups_layer_decay(whole, layer_decay=RATE)
                for value in group['params']}
    found = rates(network, build(network).optimizer)
    for key in [key for key in found if key.startswith('backbone.')]:
        rate = found.pop(key)
        assert rate == pytest.approx(
            expected[key.removeprefix('backbone.timm_model.model.')]), key
    assert found == {'head.weight': LR, 'head.bias': LR}


@pytest.mark.parametrize('backbone', [
    nn.Linear(2, 2),
    ResNet(depth=18),  # of which mmpretrain knows no depths
    TIMMBackbone(**TIMM_VIT, features_only=True),
    FrozenNormTIMMBackbone('tf_efficientnet_lite0')],
    ids=['torch', 'resnet18', 'mmpretrain', 'cut up'])
def test_backbone_without_depths_is_named(backbone):
    with pytest.raises(RunError, match=(
            f'layer_decay_rate needs a backbone .* {type(backbone).__name__} '
            'does not: leave it out, or take')):
        build(Network(backbone))


@pytest.mark.parametrize('rate', [0, -0.5, 1.01])
def test_rate_out_of_range_is_refused(rate):
    with pytest.raises(RunError, match=f'{rate} must be above 0 and at most'):
        build(Network(VisionTransformer(**VIT)), layer_decay_rate=rate)


def test_without_a_backbone_is_named():
    with pytest.raises(RunError, match='Linear does not'):
        build(nn.Linear(2, 2))
