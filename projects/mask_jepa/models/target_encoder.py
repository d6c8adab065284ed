import copy
from typing import Callable, Dict, List, Sequence, Tuple, Type

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor

from .adapters import MaskClassifierAdapter
from .feature_levels import join_levels, name_levels

# Tensors of the target, and as many of the online branch.
TensorPairs = Tuple[List[Tensor], List[Tensor]]
# Where its parts lie in the online branch.
ONLINE_PARTS = dict(
    backbone='backbone.',
    neck='neck.',
    pixel_decoder='panoptic_head.pixel_decoder.')


class TargetEncoder(BaseModule):
    """The target: an exponential moving average of backbone + pixel decoder.

    The paper: a "target backbone with a pixel decoder, updated through an
    exponential moving average from online versions" (Fig. 3). It never gets a
    gradient and is always in eval mode, so that dropout, drop path and batch
    statistics do not disturb the target.

    Args:
        adapter_class (type): Adapter of the head's family.
        backbone, neck, pixel_decoder (nn.Module): The online ones, which are
            copied.
        levels (Sequence[str]): Of :func:`name_levels`: what it gives.
    """

    def __init__(self, adapter_class: Type[MaskClassifierAdapter],
                 backbone: nn.Module, neck: nn.Module,
                 pixel_decoder: nn.Module, levels: Sequence[str]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.backbone = copy.deepcopy(backbone)
        self.neck = copy.deepcopy(neck)
        self.pixel_decoder = copy.deepcopy(pixel_decoder)
        self.adapter = adapter_class(self)
        self.requires_grad_(False)
        self.eval()
        self._pairs = None

    def train(self, mode: bool = True) -> 'TargetEncoder':
        """Stay in eval mode."""
        return super().train(False)

    def init_weights(self) -> None:
        """Do nothing: the weights come from :meth:`update`."""

    @torch.no_grad()
    def forward(self, image: Tensor, grid: Tuple[int, int]) -> Tensor:
        """Encode clean images, (B, 3, H, W), and join the target's levels on
        a grid, (B, C, *grid); a single one keeps its size. No pixel decoder
        runs for those of the backbone."""
        stages = self.backbone(image)
        maps = name_levels(stages)
        if not maps.keys() >= set(self.levels):
            maps = name_levels(stages, *self.adapter.encode(self.neck(stages)))
        return join_levels([maps[name] for name in self.levels], grid)

    @torch.no_grad()
    def update(self, backbone: nn.Module, neck: nn.Module,
               pixel_decoder: nn.Module, momentum: float) -> None:
        r"""Move towards the online weights.

        .. math:: \bar\theta \leftarrow \tau \bar\theta + (1 - \tau) \theta

        Parameters and buffers are matched by name and shape, once; buffers are
        copied. ``momentum`` is :math:`\tau`, in [0, 1]; 0 copies all.

        Raises:
            ValueError: If names or shapes differ.
        """
        if self._pairs is None:
            online = dict(
                backbone=backbone, neck=neck, pixel_decoder=pixel_decoder)
            self._pairs = [
                self._match(online, kind)
                for kind in ('named_parameters', 'named_buffers')
            ]
        parameters, buffers = self._pairs
        torch._foreach_lerp_(*parameters, 1 - momentum)
        if buffers[0]:
            torch._foreach_copy_(*buffers)

    def _apply(self, function: Callable, *args, **kwargs) -> 'TargetEncoder':
        """Match anew after a move to a device, which makes new buffers."""
        self._pairs = None
        return super()._apply(function, *args, **kwargs)

    def _match(self, online: Dict[str, nn.Module], kind: str) -> TensorPairs:
        """Pair tensors by name; raise where names or shapes differ."""
        pairs = [], []
        for part, source in online.items():
            own, other = (
                dict(getattr(module, kind)())
                for module in (getattr(self, part), source))
            differing = sorted(own.keys() ^ other.keys()) + [
                name for name in own.keys() & other.keys()
                if own[name].shape != other[name].shape
            ]
            if differing:
                raise ValueError(
                    f'The target\'s {part} does not match the online one in '
                    f'{", ".join(differing)}: build both from the same '
                    'config.')
            pairs[0].extend(own.values())
            pairs[1].extend(other[name] for name in own)
        return pairs

    def add_missing_weights(self, state_dict: Dict[str, Tensor],
                            prefix: str) -> None:
        """Add the online weights as the target's, if there are none.

        The weights of a detector, unlike those of a pretraining, hold none.
        ``state_dict``, of the whole model, is changed in place; ``prefix`` is
        that of the model's keys.
        """
        if any(key.startswith(f'{prefix}target.') for key in state_dict):
            return
        for name in self.state_dict():
            part, rest = name.split('.', 1)
            online = f'{prefix}{ONLINE_PARTS[part]}{rest}'
            if online in state_dict:
                state_dict[f'{prefix}target.{name}'] = state_dict[online]
