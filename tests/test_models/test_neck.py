"""A plain ViT with the simple feature pyramid of mmseg as its neck."""
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.utils import import_modules_from_strings

from mask_jepa.evaluation import encode_levels
from mask_jepa.weights import coverage_report, export_weights

CHANNELS = 32
SIZES = {'c1': 4, 'F_1': 2, 'F_2': 4, 'F_3': 8, 'F_last': 16}


@pytest.fixture
def parts(tiny_config):
    from mmseg.utils import register_all_modules
    import_modules_from_strings('mmpretrain.models')
    register_all_modules(init_default_scope=False)
    config = tiny_config({'model.panoptic_head.in_channels': [CHANNELS] * 4})
    config.model.backbone = dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(
            embed_dims=CHANNELS,
            num_layers=4,
            num_heads=4,
            feedforward_channels=64),
        img_size=64,
        patch_size=16,
        out_indices=(0, 1, 2, 3),
        out_type='featmap')
    config.model.neck = dict(
        type='mmseg.Feature2Pyramid',
        embed_dim=CHANNELS,
        norm_cfg=dict(type='GN', num_groups=8))
    return config.model


@pytest.fixture
def model(parts):
    model = MODELS.build(parts)
    model.init_weights()
    return model


def test_learns_and_its_target_follows(model, images):
    before = {name: value.clone() for name, value in
              model.state_dict().items() if '.upsample_' in name}
    targets = {name for name in before if name.startswith('target.neck.')}
    assert targets and len(targets) == len(before) // 2
    for name in targets:
        online = name.partition('.')[2]
        assert torch.equal(before[name], before[online])
    optimizer = torch.optim.SGD(model.neck.parameters(), lr=1.0)
    total, _ = model.parse_losses(model(images, mode='loss'))
    total.backward()
    optimizer.step()
    model.update_target(0.75)
    for name in targets:
        online = model.state_dict()[name.partition('.')[2]]
        assert not torch.equal(online, before[name])
        torch.testing.assert_close(model.state_dict()[name],
                                   0.75 * before[name] + 0.25 * online)


def test_target_of_equal_weights_is_equal(model, images):
    model.eval()
    online, target = (encode_levels(model, images, branch)
                      for branch in ('online', 'target'))
    assert all(map(torch.equal, online.values(), target.values()))
    assert torch.equal(model.target(images, (4, 4)), online['F_last'])


@pytest.mark.parametrize('branch', ['online', 'target'])
def test_levels_of_the_frozen_encoder(model, images, branch):
    levels = encode_levels(model.eval(), images, branch)
    assert {name: level.shape[-1] for name, level in levels.items()
            if name in SIZES} == SIZES


def test_the_target_has_no_stages_where_their_channels_are_unknown(parts):
    parts.target_levels = ['c1']
    with pytest.raises(ValueError, match='some of F_1, F_2, F_3, F_last,'):
        MODELS.build(parts)


def test_stock_detector_takes_it_all(model, parts):
    state = model.state_dict()
    state['random_queries.lowest_sigma'].zero_()
    export = export_weights(state, 'mmdet')
    head = parts.panoptic_head.copy()
    train_cfg = head.pop('train_cfg')
    detector = MODELS.build(ConfigDict(
        type='Mask2Former',
        backbone=parts.backbone,
        neck=parts.neck,
        panoptic_head=head,
        panoptic_fusion_head=dict(
            type='MaskFormerFusionHead',
            num_things_classes=head.num_things_classes,
            num_stuff_classes=head.num_stuff_classes),
        train_cfg=train_cfg,
        test_cfg=dict()))
    detector.load_state_dict(export.state_dict, strict=False)
    report = coverage_report(detector, export.state_dict)
    assert sum(module.equal for module in report) == len(export.state_dict)
    assert 'neck.upsample_4x' in {module.module for module in report}
    assert [module.module for module in report if module.other] == [
        'panoptic_head.cls_embed']
    encoder_alone = export_weights(state, 'mmdet', parts=['backbone'])
    assert {name.split('.')[0] for name in encoder_alone.state_dict} == {
        'backbone', 'neck'}
