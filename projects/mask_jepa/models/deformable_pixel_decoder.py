import logging
from typing import List, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import MultiScaleDeformableAttention
from mmdet.models.layers import MSDeformAttnPixelDecoder
from mmdet.registry import MODELS
from mmengine.logging import print_log
from torch import Tensor

from .deformable_attention import (OPERATORS, DeformableAttention, Levels,
                                   resolve_operator)


@MODELS.register_module()
class DeformablePixelDecoder(MSDeformAttnPixelDecoder):
    """Mask2Former's pixel decoder for mixed precision and for any GPU.

    Weights, their names and what it computes are mmdet's. It runs under
    autocast, of which mmcv's operator knows no bfloat16, without mmcv's CUDA
    op where there is none, and it never makes the host wait for the GPU.

    Args:
        operator (str): What runs deformable attention on a GPU: 'mmcv', its
            CUDA op; 'triton'; 'torch'; or 'auto', the first of these that
            there is. Defaults to 'auto'.
        **kwargs: Arguments of mmdet's.

    Raises:
        ValueError: If there is no such operator.
    """

    def __init__(self, *args, operator: str = 'auto', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if operator not in OPERATORS:
            raise ValueError(
                'panoptic_head.pixel_decoder.operator must be one of '
                f'{", ".join(OPERATORS)}, but is {operator!r}.')
        self._use_own_attention(operator)

    @classmethod
    def adopt(cls, pixel_decoder: nn.Module) -> None:
        """Make a pixel decoder of mmdet's own class, as it is, one of this."""
        if type(pixel_decoder) is MSDeformAttnPixelDecoder:
            pixel_decoder.__class__ = cls
            pixel_decoder._use_own_attention('auto')

    def _use_own_attention(self, operator: str) -> None:
        for module in self.encoder.modules():
            if type(module) is MultiScaleDeformableAttention:
                module.__class__ = DeformableAttention
                module.operator = operator
        self._levels = None
        if torch.cuda.is_available():
            print_log(
                'Deformable attention on a GPU is run by '
                f'{resolve_operator(operator, is_cuda=True)}.',
                logger='current',
                level=logging.INFO)

    def forward(self, feats: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Take the maps of a backbone, of images without padding.

        They come fine to coarse, each (B, C_i, h_i, w_i). Autocast with
        float16, in which it overflows, is switched off.

        Returns:
            tuple[Tensor, list[Tensor]]: Mask features, (B, C, h_0, w_0), and
            the memory, coarse to fine, each (B, C, h_i, w_i).
        """
        device = feats[0].device.type
        if (torch.is_autocast_enabled(device)
                and torch.get_autocast_dtype(device) is torch.float16):
            with torch.autocast(device, enabled=False):
                return self._forward([level.float() for level in feats])
        return self._forward(feats)

    def _forward(self, feats: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        coarse_to_fine = feats[::-1]
        encoded = coarse_to_fine[:self.num_encoder_levels]
        levels, positions = self._describe(
            tuple(tuple(level.shape[-2:]) for level in encoded),
            feats[0].device)
        memory = self.encoder(
            query=torch.cat([
                convolution(level).flatten(2)
                for convolution, level in zip(self.input_convs, encoded)
            ], 2).transpose(1, 2),
            query_pos=torch.cat([
                position + embedding for position, embedding in zip(
                    positions, self.level_encoding.weight)
            ], 1),
            key_padding_mask=None,
            spatial_shapes=None,
            level_start_index=None,
            valid_ratios=None,
            reference_points=None,
            levels=levels)
        maps = [
            level.unflatten(2, shape) for level, shape in zip(
                memory.transpose(1, 2).split(levels.places, 2), levels.shapes)
        ]
        # A feature pyramid of the maps that are too fine for the encoder.
        for lateral, output, level in zip(
                self.lateral_convs, self.output_convs,
                coarse_to_fine[self.num_encoder_levels:]):
            upsampled = F.interpolate(
                maps[-1],
                level.shape[-2:],
                mode='bilinear',
                align_corners=False)
            maps.append(output(lateral(level) + upsampled))
        return self.mask_feature(maps[-1]), maps[:self.num_outs]

    def _describe(self, shapes: Tuple[Tuple[int, int], ...],
                  device: torch.device) -> Tuple[Levels, List[Tensor]]:
        """Make what depends on the size of the images alone, for the last
        size: levels, and the position of each, (1, h * w, C)."""
        if self._levels is None or (self._levels[0].shapes,
                                    self._levels[0].sizes.device) != (shapes,
                                                                      device):
            # Not in inference mode, whose tensors no training can use.
            with torch.inference_mode(False), torch.no_grad():
                positions = [
                    self.postional_encoding(
                        torch.zeros(
                            1, *shape, dtype=torch.bool,
                            device=device)).flatten(2).transpose(1, 2)
                    for shape in shapes
                ]
                self._levels = Levels.of(shapes, device), positions
        return self._levels
