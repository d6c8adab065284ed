"""The levels of an encoder's features: their names, and several as one map."""
from typing import Dict, Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from .adapters import MaskClassifierAdapter


def name_levels(
    stages: Sequence[Tensor],
    mask_features: Optional[Tensor] = None,
    memory: Sequence[Tensor] = ()
) -> Dict[str, Tensor]:
    """Name the maps of an encoder, or of its backbone alone.

    Returns:
        dict[str, Tensor]: 'c1' to 'c4' (the stages of the backbone, fine to
        coarse), 'F_1' to 'F_3' (the memory, coarse to fine) and 'F_last' (the
        mask features), each (B, C, h, w).
    """
    levels = {**_number('c', stages), **_number('F_', memory)}
    if mask_features is not None:
        levels['F_last'] = mask_features
    return levels


def count_channels(adapter: MaskClassifierAdapter, neck: nn.Module,
                   levels: Sequence[str]) -> int:
    """Count the channels of some levels, side by side.

    Those of the backbone are known where no neck lies between it and the
    pixel decoder.

    Raises:
        ValueError: If there is no such level, or none at all.
    """
    known = {
        **_number('F_', adapter.memory_channels), 'F_last': adapter.channels
    }
    if isinstance(neck, nn.Identity):
        known.update(_number('c', adapter.in_channels))
    unknown = [name for name in levels if name not in known]
    if unknown or not levels or isinstance(levels, str):
        raise ValueError(f'model.target_levels={levels!r} must be some of '
                         f'{", ".join(sorted(known))}, such as ["F_last"].')
    return sum(known[name] for name in levels)


def join_levels(levels: Sequence[Tensor],
                grid: Optional[Sequence[int]] = None) -> Tensor:
    """Lay levels side by side, (B, C_1 + ... + C_n, h, w), on a grid (None is
    that of the finest), each layer-normalised, so that none outweighs the
    others; a single one stays as it is."""
    if len(levels) == 1:
        return levels[0]
    grid = grid or max(level.shape[-2:] for level in levels)
    return torch.cat([resize_map(_normalise(level), grid) for level in levels],
                     1)


def resize_map(features: Tensor, size: Sequence[int]) -> Tensor:
    """Average features, (B, C, h, w), over the cells of a coarser grid, or
    interpolate them to a finer one."""
    if features.shape[-1] < size[1]:
        return F.interpolate(
            features, tuple(size), mode='bilinear', align_corners=False)
    return F.interpolate(features, tuple(size), mode='area')


def _normalise(features: Tensor) -> Tensor:
    features = features.movedim(1, -1)
    return F.layer_norm(features, features.shape[-1:]).movedim(-1, 1)


def _number(prefix: str, values: Sequence) -> Dict:
    return {
        f'{prefix}{number}': value
        for number, value in enumerate(values, 1)
    }
