"""The baseline of mmpretrain: it trains, and its backbone arrives whole."""
import os
import shutil
import subprocess
import sys
from glob import glob
from importlib.util import find_spec
from math import cos, pi
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

BYOL = 'configs/baselines/byol_r18-tiny_camvid.py'
IMAGENET_BYOL = 'configs/baselines/byol_efficientnet-lite0_nuclei.py'
ITERATIONS = 2


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory, root, real_data):
    """What the stock tool of mmpretrain saves after each of two steps."""
    folder = tmp_path_factory.mktemp('byol')
    images = folder / 'camvid' / 'img_dir' / 'train'
    images.mkdir(parents=True)
    for index, path in enumerate(real_data):
        shutil.copy(path, images / f'{index}.jpg')
    package = Path(find_spec('mmpretrain').origin).parent
    subprocess.run([
        sys.executable, package / '.mim/tools/train.py', BYOL, '--work-dir',
        folder / 'run', '--cfg-options', f'train_cfg.max_iters={ITERATIONS}',
        'train_dataloader.batch_size=4', 'default_hooks.checkpoint.interval=1',
        f'default_hooks.checkpoint.max_keep_ckpts={ITERATIONS}',
        # A warming-up learning rate would not move float32 weights near 1.
        'param_scheduler.0.start_factor=1.0'
    ],
                   check=True,
                   cwd=root,
                   env={
                       **os.environ, 'MASK_JEPA_DATA': str(folder),
                       'OMP_NUM_THREADS': '1'
                   })
    return [
        folder / 'run' / f'iter_{number + 1}.pth'
        for number in range(ITERATIONS)
    ]


@pytest.fixture
def states(checkpoints):
    """Their weights, loaded as torch 2.6 and later load by default."""
    return [
        torch.load(path, weights_only=True)['state_dict']
        for path in checkpoints
    ]


def backbone_of(state, prefix='backbone.'):
    return {
        key[len(prefix):]: value
        for key, value in state.items() if key.startswith(prefix)
    }


@pytest.mark.slow
@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_stock_model_takes_the_whole_backbone(checkpoints, states, library):
    path = sorted(glob(f'configs/finetune/{library}/*r18-tiny*.py'))[0]
    config = Config.fromfile(path)
    config.model.init_cfg.checkpoint = str(checkpoints[-1])
    init_default_scope(library)
    model = MODELS.build(config.model)
    model.init_weights()
    loaded, trained = model.state_dict(), states[-1]
    # Necks, predictor and target find no place, and take none by accident.
    shared = set(loaded) & set(trained)
    assert shared == {key for key in loaded if key.startswith('backbone.')}
    for key in shared:
        assert torch.equal(loaded[key], trained[key]), key


@pytest.mark.slow
def test_every_tensor_of_the_backbone_learns(states):
    first, last = (backbone_of(state) for state in states)
    assert first
    for key, value in last.items():
        assert value.isfinite().all(), key
        assert not torch.equal(value, first[key]), key


@pytest.mark.slow
def test_target_follows_by_the_schedule_of_mmpretrain(states):
    """Its cosine needs the number of iterations, which the loop has to give.

    The first update copies, and each comes before a step of the optimiser.
    """
    momentum = 0.01 * (cos(pi / ITERATIONS) + 1) / 2
    assert states[-1]['target_net.steps'] == ITERATIONS
    online = backbone_of(states[0])
    before, after = (backbone_of(state, 'target_net.module.0.')
                     for state in states)
    assert set(before) == set(online)
    for key, value in after.items():
        expected = before[key] + momentum * (online[key] - before[key])
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
    # Not all do: residual branches start at zero, and what lies in them gets
    # no gradient from the first step.
    for key in ('conv1.weight', 'layer4.1.gn2.weight'):
        assert not torch.equal(after[key], before[key]), key


def test_all_but_the_objective_is_that_of_mask_jepa():
    byol = Config.fromfile(BYOL)
    jepa = Config.fromfile('configs/mask_jepa_r18_tiny.py')
    for key in byol.r18_tiny_backbone:
        assert byol.model.backbone[key] == jepa.model.backbone[key]
    for key in ('mean', 'std'):
        assert byol.data_preprocessor[key] == jepa.model.data_preprocessor[key]
    # The library that a setting was inherited from.
    jepa.optim_wrapper.optimizer.pop('_scope_', None)
    for key in ('optimizer', 'clip_grad'):
        assert byol.optim_wrapper[key] == jepa.optim_wrapper[key]
    ours, theirs = (config.optim_wrapper.paramwise_cfg
                    for config in (jepa, byol))
    assert theirs.custom_keys.backbone == ours.custom_keys.backbone
    assert theirs.norm_decay_mult == ours.norm_decay_mult
    warmup, cosine = byol.param_scheduler
    assert warmup == jepa.param_scheduler[0]
    assert cosine == jepa.param_scheduler[1]
    crop = jepa.train_dataloader.dataset.pipeline[1]
    for view in byol.train_dataloader.dataset.pipeline[1].transforms:
        assert view[0].type in crop.type
        assert view[0].scale == jepa.train_dataloader.dataset.crop_size
        assert view[0].crop_ratio_range == crop.crop_ratio_range


def test_from_imagenet_it_is_the_backbone_that_is_fine_tuned():
    pytest.importorskip('timm')
    byol = Config.fromfile(IMAGENET_BYOL)
    jepa = Config.fromfile(
        'configs/mask_jepa_efficientnet-lite0_tiny_nuclei.py')
    for key in ('mean', 'std'):
        assert byol.data_preprocessor[key] == jepa.model.data_preprocessor[key]
    ours, theirs = (config.optim_wrapper.paramwise_cfg.custom_keys.backbone
                    for config in (jepa, byol))
    assert theirs.lr_mult == ours.lr_mult == 0.1
    crops = jepa.train_dataloader.dataset.pipeline[1]
    for view in byol.train_dataloader.dataset.pipeline[1].transforms:
        assert view[0].crop_ratio_range == crops.crop_ratio_range
        assert view[0].scale == 128
    # As the crops of Mask-JEPA: 32 an iteration in place of 8.
    assert byol.train_cfg.max_iters * byol.train_dataloader.batch_size == (
        jepa.train_cfg.max_iters * jepa.train_dataloader.batch_size)
    init_default_scope('mmpretrain')
    backbone = MODELS.build(byol.model.backbone)
    shapes = [{
        key: value.shape
        for key, value in each.state_dict().items()
    } for each in (backbone, MODELS.build(jepa.model.backbone))]
    assert shapes[0] == shapes[1]
    assert byol.model.backbone.init_cfg == jepa.model.backbone.init_cfg
    loss = MODELS.build(byol.model)(
        list(torch.rand(2, 2, 3, 64, 64)), None, mode='loss')['loss']
    # A sum of two cosines, negated.
    assert 0 < abs(loss.item()) <= 2 and loss.requires_grad
