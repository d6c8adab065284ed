"""Every data set config trains on a tree of its real layout.

The network is very small; the data part of each config is as it is.
"""
import os
from pathlib import Path

import pytest
import torch
from config_files import CONFIGS, FULL_SIZE, load, name, parse_finetuning
from data_trees import write_trees
from mmengine.config import ConfigDict
from mmengine.runner import Runner

PRETRAINING = [path for path in sorted(CONFIGS.glob('mask_jepa_r50_*.py'))
               if path.stem.count('_') == 3]
FINETUNING = [path for path in FULL_SIZE
              if parse_finetuning(path)[1] == 'r50'
              and 'panoptic' not in path.stem]


@pytest.fixture(scope='module')
def trees(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp('trees')
    data = Path(os.environ.get('MASK_JEPA_DATA',
                               root.parent / 'shared' / 'data'))
    write_trees(folder / 'data', data / 'coco128')
    return folder


@pytest.fixture
def train(trees, tmp_path, monkeypatch):
    """Train a config for one iteration, then validate."""

    def run(config):
        monkeypatch.chdir(trees)  # Paths of the configs are relative.
        config.work_dir = str(tmp_path)
        config.train_cfg.max_iters = 1
        for split in ('train', 'val', 'test'):
            loader = config.get(f'{split}_dataloader')
            if loader:
                loader.update(num_workers=0, persistent_workers=False)
        config.train_dataloader.batch_size = 2
        config.default_hooks.pop('visualization')
        if config.val_dataloader:
            config.val_dataloader.dataset.indices = 1
        runner = Runner.from_cfg(config)
        before = {key: value.clone()
                  for key, value in runner.model.state_dict().items()}
        runner.train()
        moved = [key for key, value in runner.model.state_dict().items()
                 if not torch.equal(value, before[key])]
        assert any(key.startswith('backbone.') for key in moved)
        return runner

    return run


@pytest.mark.parametrize('path', PRETRAINING, ids=name)
def test_pretraining_sees_the_images(train, tiny_config, path):
    config = load(path)
    config.model = tiny_config(
        {'model.masking.block_size': 2, 'model.prediction_stride': 16,
         'model.centering.size': 32}).model
    config.param_scheduler = None
    config.custom_hooks = [hook for hook in config.custom_hooks
                           if hook['type'] == 'EMATargetHook']
    runner = train(config)
    sample = runner.train_dataloader.dataset[0]
    assert sample['inputs'].shape == (3, 512, 512)
    root = config.train_dataloader.dataset.data_root
    assert f'/{root}/' in f"/{sample['data_samples'].img_path}"


@pytest.mark.parametrize('path', FINETUNING, ids=name)
def test_finetuning_sees_images_and_labels(train, base_config, path):
    config = load(path)
    library, _, task = parse_finetuning(path)
    small = base_config.model
    head = dict(small.panoptic_head)
    for key in ('num_things_classes', 'num_stuff_classes', 'loss_cls',
                'train_cfg', 'type', 'loss_mask', 'loss_dice'):
        head.pop(key, None)
    model = config.model
    model.init_cfg = None
    own = model.panoptic_head if library == 'mmdet' else model.decode_head
    for key, value in head.items():
        own[key] = ConfigDict(value) if isinstance(value, dict) else value
    if library == 'mmdet':
        model.test_cfg.max_per_image = 50  # Ten queries give no more.
    else:
        own.pixel_decoder.type = 'mmdet.MSDeformAttnPixelDecoder'
    points = model.train_cfg if library == 'mmdet' else own.train_cfg
    points.num_points = 64
    model.backbone.update(small.backbone)
    model.backbone.init_cfg = None
    runner = train(config)
    batch = next(iter(runner.train_dataloader))
    sample = batch['data_samples'][0]
    scores = runner.message_hub.log_scalars
    if library == 'mmseg':
        assert len(sample.gt_sem_seg.data.unique()) > 1
        assert 'val/mIoU' in scores
    else:
        assert len(runner.train_dataloader.dataset) >= 2
        assert sample.gt_instances.masks is not None
        assert any('segm_mAP' in key for key in scores)
