"""Every config parses, and says what its name says."""
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS as DET_MODELS
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
PRETRAINING = sorted(CONFIGS.glob('*.py'))
FINETUNING = sorted(CONFIGS.glob('finetune/*/*.py'))
STOCK = {
    'coco-panoptic': 'mmdet::mask2former/'
    'mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    'coco': 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    'ade20k-512x512':
    'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py',
    'cityscapes-512x1024':
    'mmseg::mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py',
}
R50 = [path for path in FINETUNING if 'mask2former_r50' in path.name]


def name(path):
    return path.stem


def load_stock(reference):
    return Config.fromstring(f'_base_ = {reference!r}', file_format='.py')


def stock_of(path):
    dataset = path.stem.split('_')[-1]
    return load_stock(STOCK[dataset])


def plain(config):
    """As plain containers, for comparison."""
    if isinstance(config, Config):
        config = config._cfg_dict
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return config


def test_all_that_the_issue_names_are_there():
    names = {path.stem for path in PRETRAINING}
    assert {'mask_jepa_r50_coco', 'mask_jepa_r18_tiny'} <= names
    assert {path.stem.split('_')[-1] for path in R50} == set(STOCK)
    assert len(FINETUNING) >= len(STOCK) + 2


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.rglob('*.py')), ids=name)
def test_config_parses_and_survives_its_own_text(path):
    config = Config.fromfile(str(path))
    again = Config.fromstring(config.pretty_text, file_format='.py')
    assert plain(again) == plain(config)


@pytest.mark.parametrize('path', PRETRAINING, ids=name)
def test_pretraining_config_builds_the_method(path):
    config = Config.fromfile(str(path))
    assert config.custom_imports.imports == ['projects.mask_jepa']
    assert config.model.type == 'MaskJEPA'
    hooks = [hook['type'] for hook in config.custom_hooks]
    assert len(set(hooks)) == len(hooks)
    assert {'EMATargetHook', 'QueryNoiseHook', 'NonFiniteLossHook',
            'ExactResumeHook', 'PlainMessageHubHook', 'FeatureHealthHook',
            'MonitoringCostHook', 'ExportHook'} <= set(hooks)
    assert config.default_hooks.visualization.type == (
        'PretrainVisualizationHook')
    # One entry more, and TensorBoard is on.
    assert config.visualizer.vis_backends[0].type == 'LocalVisBackend'
    # MMEngine would put every validation at step 0.
    assert config.default_hooks.logger.log_metric_by_epoch is False
    assert config.default_hooks.checkpoint.type == 'AtomicCheckpointHook'
    crop = config.crop_size
    assert crop % config.model.masking.stride == 0
    assert config.train_dataloader.dataset.pipeline[1].scale == crop
    assert config.train_cfg.max_iters == config.max_iters
    assert config.param_scheduler[-1].end == config.max_iters
    for key, value in config.model.items():
        if key.startswith('loss_') and value is not None:
            DET_MODELS.build(value)


def test_tiny_pretraining_is_watched_in_every_way():
    config = Config.fromfile(str(CONFIGS / 'mask_jepa_r18_tiny.py'))
    backends = [each.type for each in config.visualizer.vis_backends]
    assert backends == ['LocalVisBackend', 'TensorboardVisBackend']
    assert config.val_cfg.type == 'SegmentationProbe'
    assert config.default_hooks.checkpoint.save_best == 'probe/linear_mIoU'
    # The verdict needs some checks, the page some pictures and probes.
    health, = [hook for hook in config.custom_hooks
               if hook['type'] == 'FeatureHealthHook']
    assert config.max_iters / health.interval >= 10
    assert config.max_iters / config.train_cfg.val_interval >= 2
    assert config.max_iters / config.default_hooks.visualization.interval >= 2


def test_probe_config_holds_the_stock_data_set():
    config = Config.fromfile(
        str(CONFIGS / 'mask_jepa_r50_coco_ade20k-probe.py'))
    stock = load_stock('mmseg::_base_/datasets/ade20k.py')
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
    unwatched = Config.fromfile(str(CONFIGS / 'mask_jepa_r50_coco.py'))
    assert plain(config.model) == plain(unwatched.model)


def test_r50_pretraining_keeps_the_stock_network():
    """Backbone and head are those of the stock config, key by key."""
    stock = load_stock(STOCK['coco-panoptic']).model
    ours = Config.fromfile(str(CONFIGS / 'mask_jepa_r50_coco.py')).model
    assert plain(ours.backbone) == plain(stock.backbone)
    head = plain(ours.panoptic_head)
    # In mmdet it is the detector that hands its train_cfg to the head.
    train_cfg = dict(plain(stock.train_cfg), num_points=4096)
    assert head.pop('train_cfg') == train_cfg
    assert head == plain(stock.panoptic_head)
    for key in ('mean', 'std', 'bgr_to_rgb', 'pad_size_divisor'):
        assert ours.data_preprocessor[key] == stock.data_preprocessor[key]


@pytest.mark.parametrize('path', FINETUNING, ids=name)
def test_finetuning_needs_nothing_of_this_project(path):
    config = Config.fromfile(str(path))
    # Stock mmseg imports mmdet by this key; nothing else may stand there.
    imports = config.get('custom_imports', dict(imports=[]))['imports']
    assert imports in ([], 'mmdet.models')
    assert 'projects' not in path.read_text() + config.pretty_text
    assert 'MaskJEPA' not in config.pretty_text
    library = path.parent.name
    assert config.default_scope == library
    init = config.model.init_cfg
    assert init.type == 'Pretrained'
    assert init.checkpoint.endswith(f'/mask_jepa_{library}.pth')
    # A backbone of its own would only be downloaded and overwritten.
    assert config.model.backbone.init_cfg is None


@pytest.mark.parametrize('path', R50, ids=name)
def test_r50_finetuning_is_the_stock_config(path):
    """All but where the weights come from, in under 20 lines."""
    assert len(path.read_text().splitlines()) < 20
    ours, stock = plain(Config.fromfile(str(path))), plain(stock_of(path))
    for config in (ours, stock):
        config['model'].pop('init_cfg', None)
        config['model']['backbone'].pop('init_cfg')
    assert ours == stock


def shapes(config):
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    config.model.init_cfg = None
    with torch.device('meta'):
        model = MODELS.build(config.model)
    return {key: value.shape for key, value in model.state_dict().items()}


@pytest.fixture(scope='module')
def r50_export_shapes():
    """What a pretraining of the R50 config hands over, for mmdet."""
    from projects.mask_jepa.export import export_weights
    config = Config.fromfile(str(CONFIGS / 'mask_jepa_r50_coco.py'))
    init_default_scope('mmdet')
    config.model.backbone.init_cfg = None
    model = DET_MODELS.build(config.model)
    state = model.state_dict()
    state['random_queries.lowest_sigma'].zero_()
    weights = export_weights(state, 'mmdet').state_dict
    return {key: value.shape for key, value in weights.items()}


@pytest.mark.parametrize('path', R50, ids=name)
def test_r50_models_take_every_exported_shape(path, r50_export_shapes):
    if path.parent.name == 'mmseg':
        from mmseg.utils import register_all_modules
        register_all_modules(init_default_scope=False)
    ours = shapes(Config.fromfile(str(path)))
    assert ours == shapes(stock_of(path))
    head = dict(mmdet='panoptic_head.', mmseg='decode_head.')
    exported = {
        key.replace('panoptic_head.', head[path.parent.name], 1): shape
        for key, shape in r50_export_shapes.items()
    }
    assert len(exported) > 300
    # Panoptic and semantic configs share everything but the classes.
    missing = {key for key in exported if ours.get(key) != exported[key]}
    assert missing == set()
    left = {key for key in ours if key not in exported}
    assert all('cls_embed' in key or 'loss_cls' in key for key in left)
