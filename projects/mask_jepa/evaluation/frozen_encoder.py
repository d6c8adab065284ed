from typing import Dict, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from ..models import MaskClassifierAdapter, find_adapter, name_levels
from ..utils import quiet_log
from ..weights import load_checkpoint

HEADS = ('panoptic_head', 'decode_head')  # as mmdet and mmseg call them


def find_encoder(
    model: nn.Module,
    branch: str = 'online'
) -> Tuple[nn.Module, nn.Module, MaskClassifierAdapter]:
    """Find backbone, neck and pixel decoder in a model.

    Args:
        model (nn.Module): A ``MaskJEPA``, or a mask classifier of mmdet or
            mmseg.
        branch (str): 'online' or 'target'; a mask classifier has only the
            first.

    Returns:
        tuple: The backbone, the neck (an ``nn.Identity`` if there is none),
        and the adapter that runs the pixel decoder.

    Raises:
        ValueError: If the model has no such branch.
        TypeError: If it is no mask classifier that has an adapter.
    """
    is_pretraining = hasattr(model, 'target')
    if branch not in ('online', 'target'):
        raise ValueError(f'The branch must be online or target, but is '
                         f'{branch!r}.')
    if branch == 'target':
        if not is_pretraining:
            raise ValueError(
                f'A {type(model).__name__} has no target branch, only the '
                'online one: leave the branch out.')
        return model.target.backbone, model.target.neck, model.target.adapter
    if is_pretraining:
        return model.backbone, model.neck, model.adapter
    for name in HEADS:
        head = getattr(model, name, None)
        if hasattr(head, 'pixel_decoder'):
            neck = model.neck if model.with_neck else nn.Identity()
            return model.backbone, neck, find_adapter(head)(head)
    raise TypeError(
        f'A {type(model).__name__} has no pixel decoder under '
        f'{" or ".join(HEADS)}: give the config of a Mask-JEPA pretraining '
        'or of a Mask2Former.')


@torch.no_grad()
def encode_levels(model: nn.Module,
                  image: Tensor,
                  branch: str = 'online') -> Dict[str, Tensor]:
    """Encode clean images, and name every level of the features.

    Args:
        model (nn.Module): As for :func:`find_encoder`, like ``branch``.
        image (Tensor): Normalised images, (B, 3, H, W).

    Returns:
        dict[str, Tensor]: Those of :func:`name_levels`, each (B, C, h, w).
    """
    backbone, neck, adapter = find_encoder(model, branch)
    stages = backbone(image)
    return name_levels(stages, *adapter.encode(neck(stages)))


def load_model(config: Config,
               checkpoint: Optional[str],
               whole_head: bool = False) -> nn.Module:
    """Build the model of a config, with weights, in eval mode.

    Args:
        config (Config): Of a pretraining, or of mmdet's or mmseg's
            Mask2Former.
        checkpoint (str, optional): Of a pretraining, an exported file or one
            of a stock tool; None initialises the weights.
        whole_head (bool): Whether the checkpoint must hold the transformer
            decoder and the predictors of masks and classes as well.
            Defaults to False.

    Returns:
        nn.Module: On the CPU. It normalises as the config says, and pads to
        multiples of 32 pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold every weight that is needed.
    """
    init_default_scope(config.get('default_scope', 'mmdet'))
    model_config = config.model.copy()
    # Where a fine-tuning starts from is not asked for.
    model_config.init_cfg = None
    preprocessor = model_config.data_preprocessor
    # mmdet's normalises up to three channels each in its own way.
    kind = dict(type='mmdet.DetDataPreprocessor', pad_size_divisor=32)
    if len(preprocessor.mean) > 3:
        kind = dict(
            type='mmseg.SegDataPreProcessor', test_cfg=dict(size_divisor=32))
    model_config.data_preprocessor = dict(
        mean=preprocessor.mean,
        std=preprocessor.std,
        bgr_to_rgb=preprocessor.get('bgr_to_rgb', False),
        **kind)
    model = MODELS.build(model_config)
    if checkpoint is None:
        with quiet_log():  # It would name every weight.
            model.init_weights()
        return model.eval()
    weights = load_checkpoint(checkpoint)['state_dict']
    backbone, neck, adapter = find_encoder(model)
    head = adapter.head if whole_head else adapter.head.pixel_decoder
    needed = {
        id(value)
        for part in (backbone, neck, head)
        for value in part.state_dict(keep_vars=True).values()
    }
    own = model.state_dict(keep_vars=True)
    missing = [
        key for key, value in own.items() if id(value) in needed and (
            key not in weights or weights[key].shape != value.shape)
    ]
    if missing:
        raise ValueError(
            f'{checkpoint} does not fit the config: {len(missing)} of '
            f'{len(needed)} tensors of backbone and '
            f'{"head" if whole_head else "pixel decoder"} are '
            f'missing or have another shape, {missing[0]} for example.')
    model.load_state_dict(
        {
            key: value
            for key, value in weights.items()
            if key in own and own[key].shape == value.shape
        },
        strict=False)
    return model.eval()
