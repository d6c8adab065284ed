"""Fine-tuning configs: the stock ones, but for where the weights come from."""
import functools
import re

import pytest
from config_files import (BACKBONES, CONFIGS, FEW_LABELS, FINETUNING,
                          FULL_SIZE, OTHER_HEADS, OTHERS, STOCK, TWINS,
                          check_backbone, load, load_stock, name,
                          parse_finetuning, plain)
from mmdet.registry import MODELS as DET_MODELS
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mask_jepa.weights import export_weights

CLASSES = {
    'coco': (80, 0),
    'coco-panoptic': (80, 53),
    'ade20k-instance': (100, 0),
    'ade20k-panoptic': (100, 50),
    'cityscapes-instance': (8, 0),
    'ade20k-512x512': 150,
    'cityscapes-512x1024': 19,
}
LIBRARY = {task: 'mmseg' if 'x' in task else 'mmdet' for task in CLASSES}
# The other backbones have a line of --cfg-options instead.
WITH_TWINS = [path for path in FULL_SIZE + FEW_LABELS
              if parse_finetuning(path)[1] == 'r50']
STOCK_TASKS = {task for _, _, task in STOCK}


def weights_from(config):
    """Where the weights come from: taken out of the config."""
    config = plain(config)
    model = config['model']
    return config, model.pop('init_cfg', None), model['backbone'].pop(
        'init_cfg', None)


def twin(path, kind):
    stem = path.stem.replace('-mask-jepa-pre', '')
    return path.with_name(f'{stem}_{kind}.py')


def test_every_task_backbone_and_twin_is_there():
    named = {parse_finetuning(path) for path in FULL_SIZE}
    assert named == {(LIBRARY[task], backbone, task) for task in CLASSES
                     for backbone in ('r50', 'swin-t', 'convnext-t')} | {
        ('mmdet', 'dinov2-vit-s', 'coco'),
        ('mmseg', 'dinov2-vit-s', 'ade20k-512x512')}
    assert {parse_finetuning(path) for path in FEW_LABELS} == {
        key for key in STOCK if key[1] == 'r50'}
    assert set(TWINS) == {twin(path, kind) for path in WITH_TWINS
                          for kind in ('scratch', 'in1k')}


# Whose batch norm no class of the libraries freezes.
@pytest.mark.parametrize('path', [
    path for path in FINETUNING if 'efficientnet' not in path.stem], ids=name)
def test_needs_nothing_of_this_project(path):
    config = load(path)
    # Other imports are of the libraries.
    imports = config.get('custom_imports', dict(imports=[]))['imports']
    imports = [imports] if isinstance(imports, str) else imports
    assert set(imports) <= {'mmdet.models', 'mmpretrain.models'}
    assert "'mask_jepa." not in path.read_text() + config.pretty_text
    assert 'MaskJEPA' not in config.pretty_text
    library = path.parent.name
    assert config.default_scope == library
    init = config.model.init_cfg
    assert init.type == 'Pretrained'
    assert init.checkpoint.endswith(f'/mask_jepa_{library}.pth')
    # A backbone of its own would only be downloaded and overwritten.
    assert config.model.backbone.get('init_cfg') is None


@pytest.mark.parametrize('path', FULL_SIZE, ids=name)
def test_name_says_what_it_holds(path):
    config = load(path)
    library, backbone, task = parse_finetuning(path)
    check_backbone(backbone, config.model)
    pretraining = config.model.init_cfg.checkpoint.split('/')[1]
    assert pretraining == f'mask_jepa_{backbone}_coco'
    assert (CONFIGS / f'{pretraining}.py').exists()
    if library == 'mmseg':
        assert config.model.decode_head.num_classes == CLASSES[task]
    else:
        for part in ('panoptic_head', 'panoptic_fusion_head'):
            assert (config.model[part].num_things_classes,
                    config.model[part].num_stuff_classes) == CLASSES[task]
        weights = config.model.panoptic_head.loss_cls.class_weight
        assert len(weights) == sum(CLASSES[task]) + 1
    roots = {config[f'{split}_dataloader'].dataset.data_root.lower()
             for split in ('train', 'val', 'test')}
    assert len(roots) == 1
    dataset = task.split('-')[0].replace('20k', '')
    assert dataset in roots.pop()
    iters = re.search(r'-(\d+)k_', path.stem)
    if iters:
        assert config.train_cfg.max_iters == int(iters[1]) * 1000
        schedulers = config.param_scheduler
        schedulers = schedulers if isinstance(schedulers, list) else [
            schedulers]
        length = config.train_cfg.max_iters
        assert schedulers[-1].get('end', length) == length
    assert config.train_dataloader.batch_size == 2


@pytest.mark.parametrize('path', FEW_LABELS, ids=name)
def test_few_labels_differ_in_labels_and_length_alone(path):
    few, whole = (plain(load(each)) for each in (
        path, path.with_name(path.name.replace('_1-16', ''))))
    assert path.read_text().count('make_subset.py') == 1
    assert few['train_dataloader']['dataset'].pop('ann_file').endswith(
        ('_1-16.json', '_1-16.txt'))
    whole['train_dataloader']['dataset'].pop('ann_file', None)
    share = few['train_cfg']['max_iters'] / whole['train_cfg']['max_iters']
    assert share == pytest.approx(1 / 4, rel=1e-4)
    ends = []
    for config in (few, whole):
        schedulers = config.pop('param_scheduler')
        schedulers = schedulers if isinstance(schedulers, list) else [
            schedulers]
        ends.append([
            schedulers[-1].get('end', config['train_cfg']['max_iters']),
            *schedulers[-1].get('milestones', [])])
        for key in ('train_cfg', 'max_iters', 'dynamic_intervals'):
            config.pop(key, None)
    assert ends[0] == pytest.approx([end / 4 for end in ends[1]], rel=1e-4)
    assert few == whole


@pytest.mark.parametrize('path', WITH_TWINS, ids=name)
def test_twins_differ_in_what_the_initial_weights_are(path):
    ours, init, backbone_init = weights_from(load(path))
    assert init and not backbone_init
    scratch, init, backbone_init = weights_from(load(twin(path, 'scratch')))
    assert not init and not backbone_init
    # Random weights behind frozen batch norm would learn nothing.
    backbone = scratch['model']['backbone']
    assert backbone.pop('norm_cfg') == dict(type='SyncBN', requires_grad=True)
    assert backbone.pop('norm_eval') is False
    for key in ('norm_cfg', 'norm_eval'):
        ours['model']['backbone'].pop(key, None)
    assert scratch == ours
    ours = weights_from(load(path))[0]
    in1k, init, backbone_init = weights_from(load(twin(path, 'in1k')))
    assert in1k == ours
    assert not init and backbone_init['type'] == 'Pretrained'


@pytest.mark.parametrize('path', [
    path for path in FULL_SIZE if parse_finetuning(path) in STOCK], ids=name)
def test_is_the_stock_config(path):
    """All but where the weights come from, in under 20 lines."""
    assert len(path.read_text().splitlines()) < 20
    stock = load_stock(*parse_finetuning(path))
    assert weights_from(load(path))[0] == weights_from(stock)[0]
    if path in WITH_TWINS:  # One of them is the stock config itself.
        assert plain(load(twin(path, 'in1k')).model) == {
            'init_cfg': None, **plain(stock.model)}


@pytest.mark.parametrize('path', [
    path for path in FULL_SIZE if 'convnext-t' in path.name], ids=name)
def test_convnext_differs_from_resnet_in_the_backbone_alone(path):
    def rest(config):
        config, _, _ = weights_from(config)
        model = config['model']
        model.pop('backbone')
        (model.get('panoptic_head') or model['decode_head']).pop('in_channels')
        keys = config['optim_wrapper']['paramwise_cfg']['custom_keys']
        for key in [key for key in keys if key.startswith('backbone.')]:
            keys.pop(key)
        for key in set(config) - {'model', 'train_dataloader', 'optim_wrapper',
                                  'val_dataloader', 'val_evaluator',
                                  'train_cfg', 'param_scheduler'}:
            config.pop(key)
        return config

    r50 = path.with_name(path.name.replace('convnext-t', 'r50'))
    assert rest(load(path)) == rest(load(r50))


def shapes(config):
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    config.model.init_cfg = None
    model = MODELS.build(config.model)
    return {key: value.shape for key, value in model.state_dict().items()}


@functools.lru_cache(maxsize=None)
def export_shapes(pretraining, library):
    """What a pretraining hands over."""
    config = load(CONFIGS / f'{pretraining}.py')
    init_default_scope('mmdet')
    config.model.backbone.init_cfg = None
    state = DET_MODELS.build(config.model).state_dict()
    state['random_queries.lowest_sigma'].zero_()
    weights = export_weights(state, library).state_dict
    return {key: value.shape for key, value in weights.items()}


def check_shapes(config, exported):
    """Whether a model takes all that is exported; what else it has."""
    assert len(exported) > 200
    ours = shapes(config)
    missing = {key for key in exported if ours.get(key) != exported[key]}
    assert missing == set()
    # All that is left starts anew: it depends on the classes.
    left = {key for key in ours if key not in exported}
    assert all('cls_embed' in key or 'loss_cls' in key for key in left)
    return ours


@pytest.mark.parametrize('path', FULL_SIZE, ids=name)
def test_takes_every_exported_shape(path):
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    config = load(path)
    library, backbone, task = parse_finetuning(path)
    pretraining = config.model.init_cfg.checkpoint.split('/')[1]
    ours = check_shapes(config, export_shapes(pretraining, library))
    stock = load_stock(library, backbone, task)
    if stock:
        assert ours == shapes(stock)


def test_backbones_of_the_pretrainings_are_all_known():
    assert {path.stem.split('_')[2] for path in CONFIGS.glob('mask_jepa_*.py')
            if 'tiny' not in path.stem} == set(BACKBONES) - {'r18-tiny'}


@pytest.mark.parametrize('path', OTHERS, ids=name)
def test_other_heads_are_the_stock_ones_and_take_every_shape(path):
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    library = path.parent.name
    pretraining, target = OTHER_HEADS[f'{library}/{path.stem}']
    config = load(path)
    folder = path.stem.split('_')[0] + (
        '_vis' if target == 'mmdet-vis' else '')
    stem = path.stem.replace('-mask-jepa-pre', '')
    stock = Config.fromstring(
        f"_base_ = '{library}::{folder}/{stem}.py'", file_format='.py')
    ours, init, backbone_init = weights_from(config)
    assert ours == weights_from(stock)[0]
    assert not backbone_init
    assert init['checkpoint'] == (
        f'work_dirs/{pretraining}/mask_jepa_{target}.pth')
    check_shapes(config, export_shapes(pretraining, target))
