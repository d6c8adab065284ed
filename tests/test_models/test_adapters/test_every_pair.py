"""One step of pretraining for every family of backbones with every head."""
import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.utils import import_modules_from_strings
from small_heads import FAMILIES, head_config

from mask_jepa.weights import export_weights

GROUP_NORM = dict(type='GN', num_groups=32)
BACKBONES = {
    'ResNet': dict(
        backbone=dict(
            type='ResNet',
            depth=18,
            base_channels=32,
            stem_channels=32,
            norm_cfg=GROUP_NORM)),
    'Swin': dict(
        backbone=dict(
            type='SwinTransformer',
            embed_dims=32,
            depths=[1, 1, 1, 1],
            num_heads=[1, 2, 4, 8])),
    'ConvNeXt': dict(
        backbone=dict(
            type='mmpretrain.ConvNeXt',
            arch=dict(depths=[1, 1, 1, 1], channels=[32, 64, 128, 256]),
            out_indices=[0, 1, 2, 3],
            gap_before_final_norm=False)),
    'ViT': dict(
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(
                embed_dims=32,
                num_layers=4,
                num_heads=4,
                feedforward_channels=64),
            img_size=64,
            patch_size=16,
            out_indices=(0, 1, 2, 3),
            out_type='featmap'),
        neck=dict(
            type='mmseg.Feature2Pyramid', embed_dim=32, norm_cfg=GROUP_NORM)),
}


@pytest.fixture
def build(tiny_config):
    """Build a pretraining of a backbone and a head."""
    from mmseg.utils import register_all_modules
    import_modules_from_strings('mmpretrain.models')
    register_all_modules(init_default_scope=False)

    def make(backbone, family):
        config = tiny_config().model
        head = head_config(family, config.panoptic_head)
        if 'neck' in backbone:
            head.in_channels = [32] * 4
        for name, part in {**backbone, 'panoptic_head': head}.items():
            config[name] = ConfigDict(copy.deepcopy(part))
        torch.manual_seed(0)
        model = MODELS.build(config)
        model.init_weights()
        return model

    return make


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('backbone', BACKBONES)
def test_pair_learns_in_every_part_and_hands_over(build, images, backbone,
                                                  family):
    model = build(BACKBONES[backbone], family)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(
        [each for each in model.parameters() if each.requires_grad], lr=0.1)
    total, log = model.parse_losses(model(images, mode='loss'))
    assert total.isfinite()
    assert {'loss_jepa', 'loss_reconstruction', 'loss_regularizer',
            'loss_prototype_cls', 'loss_prototype_mask',
            'loss_prototype_dice'} <= log.keys()
    total.backward()
    optimizer.step()
    model.update_target(0.9)

    state = model.state_dict()
    parts = ['backbone.', 'panoptic_head.pixel_decoder.',
             'panoptic_head.transformer_decoder.', 'panoptic_head.mask_embed.',
             'target.backbone.', 'target.pixel_decoder.', 'mask_tokens.']
    if 'neck' in BACKBONES[backbone]:
        parts += ['neck.', 'target.neck.']
    for part in parts:
        assert any(not torch.equal(before[name], value)
                   for name, value in state.items()
                   if name.startswith(part)), part
    state['random_queries.lowest_sigma'].zero_()
    left_out = export_weights(state, 'mmdet').left_out
    assert {name for name in left_out if name.startswith('panoptic_head.')
            } == {'panoptic_head.cls_embed.weight',
                  'panoptic_head.cls_embed.bias'}


@pytest.mark.parametrize('family', FAMILIES[::2])
def test_backbone_with_too_few_maps_is_refused(build, images, family):
    """A plain ViT needs a neck."""
    backbone = copy.deepcopy(BACKBONES['ViT'])
    backbone.pop('neck')
    backbone['backbone']['out_indices'] = -1
    model = build(backbone, family)
    with pytest.raises(ValueError, match=r'in_channels.* model.neck'):
        model(images, mode='loss')
