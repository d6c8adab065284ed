"""Every pretraining config builds the method that its name says."""
import pytest
import torch
from config_files import (BACKBONES, CONFIGS, PRETRAINING, check_backbone,
                          load, name, plain)
from mmdet.registry import MODELS
from mmengine.config import Config

IMAGES = {
    'coco': 'data/coco/train2017',
    'ade20k': 'data/ade/ADEChallengeData2016/images/training',
    'cityscapes': 'data/cityscapes/leftImg8bit/train',
    'in1k': 'data/imagenet/train',
    'custom': 'data/my_images/train',
}
GRID = [(backbone, dataset) for backbone in ('r50', 'swin-t', 'convnext-t')
        for dataset in IMAGES]
# All but the tiny one, and the one with a probe.
NAMED = [path for path in PRETRAINING
         if path.stem.count('_') == 3 and 'tiny' not in path.stem]
CUSTOM = [path for path in NAMED if path.stem.endswith('_custom')]


def test_every_backbone_and_data_set_is_there():
    names = {path.stem for path in PRETRAINING}
    assert {f'mask_jepa_{backbone}_{dataset}'
            for backbone, dataset in GRID} <= names
    assert {f'mask_jepa_{backbone}_coco' for backbone in BACKBONES
            if backbone != 'r18-tiny'} <= names


@pytest.mark.parametrize('path', NAMED, ids=name)
def test_name_says_what_it_holds(path):
    config = load(path)
    backbone, dataset = path.stem.split('_')[2:]
    check_backbone(backbone, config.model)
    assert config.train_dataloader.dataset.data_root == IMAGES[dataset]
    assert config.test_dataloader.dataset.data_root != IMAGES[dataset]
    assert config.auto_scale_lr.base_batch_size == 64
    # Its docstring is what a reader sees first.
    first_line = path.read_text().splitlines()[0]
    word = dict(coco='COCO', ade20k='ADE20K', cityscapes='Cityscapes',
                in1k='ImageNet-1k', custom='your own')[dataset]
    assert word in first_line


@pytest.mark.parametrize('path', NAMED, ids=name)
def test_only_network_images_and_length_differ_from_r50_coco(path):
    changed = {'param_scheduler', 'train_cfg', 'train_dataloader',
               'test_dataloader', 'optim_wrapper', 'model', 'data_root'}
    if path in CUSTOM:
        changed |= {'auto_scale_lr', 'default_hooks'}
    if path.stem.endswith('_cityscapes'):
        changed |= {'train_pipeline'}
    if 'TIMM' in load(path).model.backbone.type:
        changed |= {'custom_imports'}
    ours, base = load(path), load(CONFIGS / 'mask_jepa_r50_coco.py')
    for key in base.keys() - changed:
        assert plain(ours[key]) == plain(base[key]), key
    for key in base.model.keys() - {'backbone', 'panoptic_head'}:
        setting = plain(ours.model[key])
        if path in CUSTOM and key in ('noise', 'photometric_change'):
            assert setting.pop('per_image')
        assert setting == plain(base.model[key]), key


@pytest.mark.parametrize('path', PRETRAINING, ids=name)
def test_pretraining_config_builds_the_method(path):
    config = load(path)
    assert config.custom_imports.imports[0] == 'mask_jepa'
    assert config.model.type == 'MaskJEPA'
    assert config.default_hooks.visualization.type == (
        'PretrainVisualizationHook')
    # One entry more, and TensorBoard is on.
    assert config.visualizer.vis_backends[0].type == 'LocalVisBackend'
    # MMEngine would put every validation at step 0.
    assert config.default_hooks.logger.log_metric_by_epoch is False
    assert config.default_hooks.checkpoint.type == 'AtomicCheckpointHook'
    dataset = config.train_dataloader.dataset
    assert dataset.crop_size % config.model.masking.stride == 0
    if path not in CUSTOM:
        assert config.param_scheduler[0].end <= config.train_cfg.max_iters / 7
    for key, value in config.model.items():
        if key.startswith('loss_') and value is not None:
            MODELS.build(value)


def test_tiny_pretraining_is_watched_in_every_way():
    config = load(CONFIGS / 'mask_jepa_r18_tiny.py')
    backends = [each.type for each in config.visualizer.vis_backends]
    assert backends == ['LocalVisBackend', 'TensorboardVisBackend']
    assert config.val_cfg.type == 'SegmentationProbe'
    assert config.default_hooks.checkpoint.save_best == 'probe/linear_mIoU'
    check_backbone('r18-tiny', config.model)
    # The verdict needs some checks, the page some pictures and probes.
    hooks, length = config.default_hooks, config.train_cfg.max_iters
    assert length / hooks.health.interval >= 10
    assert length / config.train_cfg.val_interval >= 2
    assert length / hooks.visualization.interval >= 2


def test_paper_is_without_what_is_ours():
    config = load(CONFIGS / 'mask_jepa_r50_coco_paper.py')
    model = MODELS.build(dict(
        config.model, backbone=dict(config.model.backbone, init_cfg=None)))
    for part in ('centering', 'prototypes', 'loss_regularizer',
                 'loss_mask_level'):
        assert getattr(model, part) is None, part
    # One noise for the whole input; the image in its own light.
    assert model.noise.masked_gamma == model.noise.gamma < 1
    image = torch.randn(1, 3, 64, 64)
    view, _, _ = model.train().corrupt(image, model.random(image.device))
    assert torch.equal(view, image)
    # Queries stay random, and the three parts that the paper ablates are on.
    assert config.default_hooks.query_noise.schedule == 'constant'
    assert config.default_hooks.query_noise.start == 1.0
    assert model.reconstruction_head is not None
    assert model.query_to_map.auxiliary_self_attention is not None
    ours = load(CONFIGS / 'mask_jepa_r50_coco.py')
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg',
                'train_dataloader'):
        assert plain(config[key]) == plain(ours[key])


@pytest.mark.parametrize('path', CUSTOM, ids=name)
def test_custom_images_are_seen_in_passes_on_one_gpu(path):
    config = load(path)
    assert config.train_cfg.type == 'PassBasedTrainLoop'
    batch = config.train_dataloader.batch_size
    gradients = config.optim_wrapper.accumulative_counts
    assert batch * gradients == 64
    assert config.default_hooks.checkpoint.interval % gradients == 0
    # Of however few images, the warm-up is over after a third.
    shortest = config.train_cfg.min_images / batch
    assert config.param_scheduler[0].end <= shortest / 3


def test_probe_config_holds_the_stock_data_set():
    config = load(CONFIGS / 'mask_jepa_r50_coco_ade20k-probe.py')
    stock = Config.fromstring(
        "_base_ = 'mmseg::_base_/datasets/ade20k.py'", file_format='.py')
    for ours, theirs in ((config.val_dataloader.dataset,
                          stock.val_dataloader.dataset),
                         (config.val_cfg.train_dataset,
                          stock.train_dataloader.dataset)):
        for key in ('type', 'data_root', 'data_prefix'):
            assert plain(ours[key]) == plain(theirs[key])
        assert plain(ours.pipeline) == plain(
            stock.val_dataloader.dataset.pipeline)
    evaluator = dict(config.val_evaluator, _scope_='mmseg')
    assert evaluator == plain(stock.val_evaluator)
    unwatched = load(CONFIGS / 'mask_jepa_r50_coco.py')
    assert plain(config.model) == plain(unwatched.model)


@pytest.mark.parametrize('backbone', ['r50', 'r101', 'swin-t', 'swin-s',
                                      'swin-b', 'swin-l'])
def test_keeps_the_stock_network(backbone):
    """Backbone, head and decay are those of mmdet's config, key by key."""
    size = dict(zip('tsbl', ('t-p4-w7-224', 's-p4-w7-224', 'b-p4-w12-384',
                             'l-p4-w12-384-in21k')))
    stem = backbone if backbone.startswith('r') else (
        f'swin-{size[backbone[-1]]}')
    schedule = '16xb1-lsj-100e' if backbone == 'swin-l' else '8xb2-lsj-50e'
    stock = Config.fromstring(
        "_base_ = 'mmdet::mask2former/mask2former_"
        f"{stem}_{schedule}_coco-panoptic.py'", file_format='.py')
    config = load(CONFIGS / f'mask_jepa_{backbone}_coco.py')
    ours = config.model
    assert plain(ours.backbone) == plain(stock.model.backbone)
    head = plain(ours.panoptic_head)
    # In mmdet it is the detector that hands its train_cfg to the head.
    train_cfg = dict(plain(stock.model.train_cfg), num_points=4096)
    assert head.pop('train_cfg') == train_cfg
    assert head == plain(stock.model.panoptic_head)
    for key in ('mean', 'std', 'bgr_to_rgb', 'pad_size_divisor'):
        assert ours.data_preprocessor[key] == (
            stock.model.data_preprocessor[key])
    assert plain(config.optim_wrapper.paramwise_cfg) == plain(
        stock.optim_wrapper.paramwise_cfg)


@pytest.mark.parametrize('name, reference', [
    ('mask_jepa_r50_coco_maskformer',
     'mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py'),
    ('mask_jepa_r50_ade20k_maskformer',
     'mmseg::maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py'),
])
def test_keeps_the_stock_maskformer(name, reference):
    stock = plain(Config.fromstring(f'_base_ = {reference!r}',
                                    file_format='.py').model)
    ours = plain(load(CONFIGS / f'{name}.py').model.panoptic_head)
    head = stock.get('decode_head') or dict(
        stock['panoptic_head'], train_cfg=stock['train_cfg'])
    assert ours.pop('type') in (head['type'], f'mmseg.{head["type"]}')
    assert {**ours, 'type': head['type']} == without_scope(head)


def without_scope(config):
    """Without the key that inheriting from a library leaves."""
    if isinstance(config, dict):
        return {key: without_scope(value) for key, value in config.items()
                if key != '_scope_'}
    if isinstance(config, list):
        return [without_scope(value) for value in config]
    return config
