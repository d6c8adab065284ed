"""Fixtures: the data sets in small, and a training on them."""
import os
from pathlib import Path

import pytest
import torch
from data_trees import write_ade20k_panoptic, write_coco_panoptic, write_trees
from mmengine.config import ConfigDict
from mmengine.runner import Runner


@pytest.fixture(scope='session')
def trees(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp('trees')
    data = Path(os.environ.get('MASK_JEPA_DATA',
                               root.parent / 'shared' / 'data'))
    write_trees(folder / 'data', data / 'coco128')
    return folder


@pytest.fixture(scope='session')
def panoptic_trees(trees):
    pytest.importorskip(
        'panopticapi', reason='panopticapi is not on the package index')
    write_ade20k_panoptic(trees / 'data')
    if not (trees / 'data/coco/annotations/panoptic_train2017.json').exists():
        write_coco_panoptic(trees / 'data')


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


@pytest.fixture
def shrink_network(base_config):
    """Make the network of a fine-tuning very small."""

    def shrink(config, library):
        small = base_config.model
        head = dict(small.panoptic_head)
        for key in ('num_things_classes', 'num_stuff_classes', 'loss_cls',
                    'train_cfg', 'type', 'loss_mask', 'loss_dice'):
            head.pop(key, None)
        position = head.pop('positional_encoding')
        model = config.model
        model.init_cfg = None
        own = model.get('track_head') or model.get(
            'panoptic_head') or model.decode_head
        for key, value in head.items():
            own[key] = ConfigDict(value) if isinstance(value, dict) else value
        own.positional_encoding.num_feats = position.num_feats
        if library == 'mmseg':
            own.pixel_decoder.type = 'mmdet.MSDeformAttnPixelDecoder'
        if 'test_cfg' in model and 'max_per_image' in model.test_cfg:
            model.test_cfg.max_per_image = 50  # Ten queries give no more.
        points = own.get('train_cfg') or model.train_cfg
        points.num_points = 64
        model.backbone.update(small.backbone)
        model.backbone.init_cfg = None

    return shrink
