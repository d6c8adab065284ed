"""The steps that are compared: configs and batches."""
import copy
from typing import Tuple

import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

from ..utils import load_config

# Of the two, the former is mmdet's own; the latter has the deformable
# attention of Mask-JEPA, for mmdet's is slower on a CPU, needs mmcv's compiled
# op on a GPU, and knows no bfloat16.
SUPERVISED = ('supervised', 'supervised_same_attention')
ARMS = ('mask_jepa', *SUPERVISED, 'byol')
STOCK = dict(
    Mask2FormerHead='mmdet::mask2former/'
    'mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    MaskFormerHead='mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py')
BYOL = 'mmpretrain::byol/byol_resnet50_16xb256-coslr-200e_in1k.py'
INSTANCES = 8  # labelled things of an image


def make_arm(name: str,
             cfg: Config,
             batch_size: int,
             image_size: int,
             num_points: int = 12544) -> Tuple[Config, dict]:
    """Make the config and the batch of an arm, all with the same network.

    Args:
        name (str): One of ``ARMS``.
        cfg (Config): Of a pretraining; it stays as it is.
        batch_size (int): Images; BYOL sees each in two views.
        image_size (int): Side of an image, in pixels.
        num_points (int): Points at which the supervised losses compare masks,
            if the head has such. Defaults to 12544, mmdet's.

    Returns:
        tuple[Config, dict]: With ``model``, ``optim_wrapper`` and
        ``default_scope``; what a data loader would give.

    Raises:
        ValueError: If no stock config has a head of this type, or BYOL shall
            train on one image, which its batch norm cannot.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model.backbone.init_cfg = None  # Weights do not change the speed.
    images = demo_mm_inputs(
        batch_size, [(3, image_size, image_size)] * batch_size,
        num_items=[INSTANCES] * batch_size,
        num_classes=cfg.model.panoptic_head.num_things_classes,
        with_mask=True,
        with_semantic=True)
    if name in SUPERVISED:
        return _make_supervised(name, cfg, num_points), images
    if name == 'byol':
        if batch_size < 2:
            raise ValueError('BYOL has batch norm and needs --batch-size 2 at '
                             'least: leave it out by --arms.')
        view = torch.stack(images['inputs'])
        samples = [DataSample() for _ in view]
        return _make_byol(cfg, view.shape), dict(
            inputs=[view, view.flip(-1)], data_samples=samples)
    return cfg, images


def _make_supervised(name: str, cfg: Config, num_points: int) -> Config:
    head = cfg.model.panoptic_head
    kind = head.type.split('.')[-1]
    if kind not in STOCK:
        raise ValueError(f'There is no stock config for a {kind} to compare '
                         'with: leave the supervised arms out by --arms.')
    stock = load_config(STOCK[kind])
    head = copy.deepcopy(head)
    head.pop('train_cfg', None)
    if name == 'supervised_same_attention':
        head.pixel_decoder.type = 'DeformablePixelDecoder'
    stock.model.backbone = cfg.model.backbone
    if cfg.model.get('neck'):
        stock.model.neck = cfg.model.neck
    stock.model.panoptic_head = head
    stock.model.data_preprocessor = dict(
        stock.model.data_preprocessor, batch_augments=None)
    if 'num_points' in stock.model.train_cfg:
        stock.model.train_cfg.num_points = num_points
    return stock


def _make_byol(cfg: Config, shape: torch.Size) -> Config:
    """Let mmpretrain's BYOL train the backbone, by the optimiser of ``cfg``,
    as in configs/baselines: its own is for batches of thousands."""
    byol = load_config(BYOL)
    backbone = byol.model.backbone = cfg.model.backbone
    backbone.out_indices = backbone.out_indices[-1:]
    backbone.setdefault('_scope_', cfg.default_scope)
    with torch.no_grad():
        image = torch.zeros(1, *shape[1:])
        channels = MODELS.build(copy.deepcopy(backbone))(image)[-1].shape[1]
    # Twice as many hidden channels as input channels, as for ResNet-50.
    byol.model.neck.update(in_channels=channels, hid_channels=2 * channels)
    byol.model.head.predictor.hid_channels = 2 * channels
    byol.model.data_preprocessor = byol.data_preprocessor
    byol.optim_wrapper = dict(cfg.optim_wrapper, _scope_=cfg.default_scope)
    return byol
