import os.path as osp
from typing import Any, Iterator, Tuple

from mmengine.config import Config

from ..datasets import is_archive
from .resolve_config import find_setting, is_unlabeled

LOSSES = dict(
    loss_jepa={},
    loss_reconstruction={},
    loss_mask_level=None,
    loss_regularizer={},
    prototypes=None,
    pseudo_instances=None)


def find_wrong_pairs(cfg: Config, testing: bool = False) -> Iterator[str]:
    """Find settings of a config that are right, but not together.

    Yields:
        str: A sentence.
    """
    yield from find_wrong_schedules(cfg)
    yield from find_wrong_checkpoints(cfg, testing)
    yield from find_missing_files(cfg, testing)
    if cfg.get('sync_bn') and has_timm_backbone(cfg):
        yield (f'sync_bn={cfg.sync_bn!r} would take the activations out of '
               'a backbone of timm, which are part of its norms: leave it '
               'out.')
    if (cfg.get('randomness') or {}).get('diff_rank_seed'):
        yield ('randomness.diff_rank_seed=True would let a resumed run see '
               'other images: leave it out; crops and noise differ from '
               'process to process as it is.')
    model = cfg.get('model') or {}
    if str(model.get('type')).split('.')[-1] == 'MaskJEPA':
        yield from find_wrong_losses(model)
        yield from find_wrong_sizes(cfg, model)
        yield from find_wrong_images(
            model.get('data_preprocessor') or {},
            (model.get('backbone') or {}).get('in_channels', 3))
        yield from find_wrong_head(model.get('panoptic_head') or {})


def has_timm_backbone(cfg: Config) -> bool:
    """Tell whether MMEngine must not replace the norms of a backbone.

    Those of timm hold the activation that follows, which would be gone.
    """
    backbone = (cfg.get('model') or {}).get('backbone') or {}
    return 'TIMM' in str(backbone.get('type'))


def find_wrong_schedules(cfg: Config) -> Iterator[str]:
    """Find schedules that never change anything."""
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    loop = cfg.get('train_cfg') or {}
    length = loop.get('max_iters')
    for index, each in enumerate(schedulers):
        place = f'param_scheduler.{index}'
        begin, end = each.get('begin', 0), each.get('end')
        if end is not None and end <= begin:
            yield (f'{place}.end={end} must lie after its begin={begin}: '
                   'raise it, or leave it out for the end of the training.')
        if each.get('by_epoch', True):
            if loop and 'EpochBased' not in str(loop.get('type')):
                yield (f'{place}.by_epoch=True never comes to an end of an '
                       'epoch in a training that is counted in iterations: '
                       'write by_epoch=False.')
        elif length is not None and begin >= length:
            yield (f'{place}.begin={begin} lies behind the end of the '
                   f'training, train_cfg.max_iters={length}: lower it.')


def find_wrong_checkpoints(cfg: Config, testing: bool) -> Iterator[str]:
    """Find checkpoints that would never be written, or not be found."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if hook.get('out_dir') and not testing:
        yield (f'default_hooks.checkpoint.out_dir={hook["out_dir"]!r} would '
               'keep checkpoints where --resume does not look: leave it out, '
               'and give the folder by --work-dir.')
    if hook.get('save_best') and not cfg.get('val_evaluator'):
        yield (f'default_hooks.checkpoint.save_best={hook["save_best"]!r} '
               'needs values of a validation: set val_dataloader, val_cfg and '
               'val_evaluator, or save_best=None.')


def find_missing_files(cfg: Config, testing: bool) -> Iterator[str]:
    """Find paths at which there is nothing, of images and initial weights."""
    loader = 'test_dataloader' if testing else 'train_dataloader'
    dataset = (cfg.get(loader) or {}).get('dataset') or {}
    if is_unlabeled(dataset):
        key = f'{loader}.dataset.data_root'
        sources = dataset.get('data_root')
        if not sources:
            yield (f'{key} is missing: set it to a folder of images, or to a '
                   'list of them.')
            return
        for source in [sources] if isinstance(sources, str) else sources:
            if not osp.exists(source) and not is_archive(source):
                yield (f'There is no image folder or list at {source}: give '
                       f'it by --data, or set {key}.')
    if testing:
        return
    for place, path in find_initial_weights(cfg.get('model'), 'model'):
        if '://' not in path and not osp.isfile(path):
            yield (f'{place}={path!r} is no file: give the path of a '
                   f'checkpoint, or {place.rpartition(".")[0]}=None for '
                   'random weights.')


def find_initial_weights(node: Any, path: str) -> Iterator[Tuple[str, str]]:
    """Find the checkpoints that a model begins with, and their keys."""
    if isinstance(node, dict):
        if node.get('type') == 'Pretrained' and isinstance(
                node.get('checkpoint'), str):
            yield f'{path}.checkpoint', node['checkpoint']
        for key, value in node.items():
            yield from find_initial_weights(value, f'{path}.{key}')


def find_wrong_losses(model: dict) -> Iterator[str]:
    """Find a model that learns nothing."""
    on = []
    for name, default in LOSSES.items():
        loss = model.get(name, default)
        is_on = loss is not None and loss.get('loss_weight', 1) != 0
        if name == 'loss_reconstruction':
            is_on = is_on and model.get('reconstruction', True)
        on.append(is_on)
    if not any(on):
        yield ('The weights of all losses are 0, so nothing would be learned: '
               'write model.loss_jepa.loss_weight=1.0, for example.')


def find_wrong_sizes(cfg: Config, model: dict) -> Iterator[str]:
    """Compare the crop with the grids that are laid over it."""
    loader = cfg.get('train_dataloader') or {}
    crop = find_setting(loader.get('dataset') or {}, 'crop_size')
    masking = model.get('masking') or {}
    stride = masking.get('stride', 32)
    block = masking.get('block_size', 2)
    step = model.get('prediction_stride', 8)
    if stride % step:
        yield (f'model.prediction_stride={step} must divide '
               f'model.masking.stride={stride}.')
        return
    things = model.get('pseudo_instances')
    fine = 1 if things is None else things.get('stride', 4)
    if model.get('prototypes') is not None and fine > step:
        yield (f'model.pseudo_instances.stride={fine} is coarser than '
               f'model.prediction_stride={step}, and masks of prototypes '
               f'would be lost on its grid: write at most {step}.')
    if not isinstance(crop, int):
        return
    key = 'train_dataloader.dataset.crop_size'
    if crop % stride:
        yield (f'{key}={crop} must be a multiple of '
               f'model.masking.stride={stride}: write '
               f'{max(round(crop / stride), 1) * stride}.')
        return
    if crop % fine:
        yield (f'model.pseudo_instances.stride={fine} must divide '
               f'{key}={crop}.')
    if block * stride > crop:
        yield (f'model.masking.block_size={block} cells of {stride} pixels '
               f'are larger than {key}={crop}: write at most '
               f'{crop // stride}.')
    size = (model.get('centering') or {}).get('size')
    if size is not None and (size < 1 or crop // step % size):
        yield (f'model.centering.size={size} does not fit the grid of '
               f'{crop // step} places, {key}={crop} by '
               f'model.prediction_stride={step}: write {crop // step}, or '
               'leave it out.')


def find_wrong_images(preprocessor: dict, channels: int) -> Iterator[str]:
    """Find values that no image of so many channels can be normalised with."""
    place = 'model.data_preprocessor'
    for name in ('mean', 'std'):
        values = preprocessor.get(name)
        if isinstance(values,
                      (list, tuple)) and (len(values) not in (1, channels)):
            yield (
                f'{place}.{name}={values} must hold {channels} numbers, one '
                'for each channel, or one for all.')
    if channels != 3 and preprocessor.get('bgr_to_rgb'):
        # mmengine would leave out all but three.
        yield (f'{place}.bgr_to_rgb=True is for three channels, but '
               f'model.backbone.in_channels={channels}: write False.')
    is_det = 'Det' in str(preprocessor.get('type'))
    if len(preprocessor.get('mean') or []) > 3 and is_det:
        yield (
            f'{place}.mean of {channels} numbers needs another class: write '
            "data_preprocessor=dict(_delete_=True, type='mmseg."
            "SegDataPreProcessor', size_divisor=32, mean=..., std=...), or "
            'one number for all channels.')
    is_seg = 'Seg' in str(preprocessor.get('type'))
    if is_seg and not (preprocessor.get('size')
                       or preprocessor.get('size_divisor')):
        yield f'{place} of mmseg pads to a size: write size_divisor=32.'
    std = preprocessor.get('std') or []
    if not all(isinstance(each, (int, float)) and each > 0 for each in std):
        yield (f'{place}.std={std} must be above 0, since images are divided '
               'by it: write [58.395, 57.12, 57.375], for example.')


def find_wrong_head(head: dict) -> Iterator[str]:
    """Compare channels, heads, levels and layers of a head."""
    place = 'model.panoptic_head'
    channels = head.get('feat_channels')
    if channels is None:
        return
    needed = {}
    for where, part in find_parts(head, ''):
        for key, wanted in (('out_channels', channels),
                            ('embed_dims', channels), ('num_feats',
                                                       channels // 2)):
            if part.get(key, wanted) != wanted:
                needed[f'{where}{key}={wanted}'] = part[key]
        heads = part.get('num_heads')
        if heads and channels % heads:
            yield (f'{place}.{where}num_heads={heads} must divide '
                   f'{place}.feat_channels={channels}.')
    if needed:
        listed = ', '.join(f'{wanted} (not {found})'
                           for wanted, found in needed.items())
        yield f'{place}.feat_channels={channels} needs {listed}.'
    widths, strides = head.get('in_channels'), head.get('strides')
    if widths and strides and len(widths) != len(strides):
        yield (f'{place}.in_channels={list(widths)} and strides='
               f'{list(strides)} must be of one length, that of '
               'model.backbone.out_indices.')
    decoder = head.get('pixel_decoder') or {}
    levels = head.get('num_transformer_feat_level', 3)
    for key, found in (('num_outs', decoder.get('num_outs', levels)),
                       ('encoder.layer_cfg.self_attn_cfg.num_levels',
                        find_num_levels(decoder, levels))):
        if 'encoder' in decoder and 'num_transformer_feat_level' in head and (
                found != levels):
            yield (f'{place}.pixel_decoder.{key}={found} must be equal to '
                   f'{place}.num_transformer_feat_level={levels}.')
    layers = (head.get('transformer_decoder') or {}).get('num_layers', 9)
    if 'num_transformer_feat_level' in head and layers < levels:
        yield (f'{place}.transformer_decoder.num_layers={layers} leaves some '
               f'of the {levels} levels without a layer: write at least '
               f'{levels}.')
    classes = [head.get(f'num_{kind}_classes') for kind in ('things', 'stuff')]
    weights = (head.get('loss_cls') or {}).get('class_weight')
    if None not in classes and isinstance(
            weights, (list, tuple)) and len(weights) != sum(classes) + 1:
        yield (f'{place}.loss_cls.class_weight holds {len(weights)} numbers, '
               f'but {classes[0]} + {classes[1]} classes and "no object" need '
               f'{sum(classes) + 1}.')


def find_num_levels(decoder: dict, default: int) -> int:
    """Look up over how many levels a pixel decoder attends."""
    layer = (decoder.get('encoder') or {}).get('layer_cfg') or {}
    return (layer.get('self_attn_cfg') or {}).get('num_levels', default)


def find_parts(node: Any, path: str) -> Iterator[Tuple[str, dict]]:
    """Walk through all dicts of a part of a config; before each its key, with
    a dot behind."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from find_parts(value, f'{path}{key}.')
