"""A family of heads that is new to the project, from images to labels."""
import copy

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from mmengine.utils import import_modules_from_strings
from small_heads import CHANNELS, maskformer_head

from mask_jepa.weights import coverage_report, export_weights


@pytest.fixture
def parts():
    """A plain ViT and the head that goes with it."""
    # As custom_imports does; the import registers them.
    import_modules_from_strings(['encoder_only_head', 'mmpretrain.models'])
    stock = maskformer_head('PixelDecoder')
    return ConfigDict(
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(
                embed_dims=CHANNELS,
                num_layers=2,
                num_heads=4,
                feedforward_channels=64),
            img_size=64,
            patch_size=16,
            out_type='featmap'),
        panoptic_head=dict(
            type='EncoderOnlyHead',
            channels=CHANNELS,
            num_queries=10,
            num_things_classes=5,
            num_stuff_classes=0,
            num_blocks=2,
            num_heads=4,
            train_cfg=stock['train_cfg'],
            **{name: dict(stock[name]) for name in
               ('loss_cls', 'loss_mask', 'loss_dice')}))


@pytest.fixture
def pretraining(parts, tiny_config):
    config = tiny_config().model
    for name, part in parts.items():
        config[name] = copy.deepcopy(part)
    model = MODELS.build(config)
    model.init_weights()
    return model


def train(model, data, steps):
    """The total loss of each step."""
    optimizer = OptimWrapper(
        torch.optim.AdamW((parameter for parameter in model.parameters()
                           if parameter.requires_grad), 3e-3))
    model.train()
    losses = []
    for _ in range(steps):
        parsed, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.update_params(parsed)
        losses.append(parsed.item())
    return losses


def labelled_samples():
    samples = []
    for label in (1, 3):
        mask = np.zeros((1, 64, 64), np.uint8)
        mask[0, 8:40, 8 * label:8 * label + 24] = 1
        sample = DetDataSample(metainfo=dict(
            batch_input_shape=(64, 64), img_shape=(64, 64)))
        sample.gt_instances = InstanceData(
            labels=torch.tensor([label]), masks=BitmapMasks(mask, 64, 64))
        samples.append(sample)
    return samples


def test_pretrains_hands_over_and_fine_tunes(pretraining, parts, images):
    before = copy.deepcopy(pretraining.state_dict())
    losses = train(pretraining, dict(inputs=images), steps=12)
    assert losses[-1] < losses[0]
    for part in ('backbone', 'panoptic_head.pixel_decoder',
                 'panoptic_head.blocks', 'panoptic_head.mask_embed'):
        moved = [not torch.equal(before[name], value) for name, value in
                 pretraining.state_dict().items() if name.startswith(part)]
        assert any(moved), part

    state = pretraining.state_dict()
    state['random_queries.lowest_sigma'].zero_()
    export = export_weights(state, 'mmdet')
    detector = MODELS.build(ConfigDict(
        type='MaskFormer',
        panoptic_fusion_head=dict(
            type='MaskFormerFusionHead',
            num_things_classes=5,
            num_stuff_classes=0),
        train_cfg=parts['panoptic_head'].pop('train_cfg'),
        test_cfg=dict(),
        **parts))
    detector.load_state_dict(export.state_dict, strict=False)
    report = coverage_report(detector, export.state_dict)
    assert sum(module.equal for module in report) == len(export.state_dict)
    assert [module.module for module in report if module.other] == [
        'panoptic_head.cls_embed']

    losses = train(
        detector,
        dict(inputs=images, data_samples=labelled_samples()),
        steps=12)
    assert losses[-1] < 0.9 * losses[0]


def test_without_the_learned_queries_their_noise_is_all(pretraining):
    """They are found by name, so that untrained ones are left out."""
    left_out = export_weights(pretraining.state_dict(), 'mmdet').left_out
    assert 'never used' in left_out['panoptic_head.query_embed.weight']
