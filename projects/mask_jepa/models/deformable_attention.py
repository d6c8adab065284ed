import functools
import logging
from typing import NamedTuple, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import MultiScaleDeformableAttention
from mmcv.ops import get_compiling_cuda_version
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch)
from mmengine.logging import print_log
from torch import Tensor
from torch.autograd.function import once_differentiable

OPERATORS = ('auto', 'mmcv', 'triton', 'torch')


class Levels(NamedTuple):
    """Feature maps whose places lie one after the other.

    Made once for each size of image, so that no step waits for the GPU.
    """

    shapes: Tuple[Tuple[int, int], ...]  # h, w of each
    sizes: Tensor  # w, h of each, float32 (L, 2)
    starts: Tensor  # first place of each, int64 (L, )
    centers: Tensor  # of all places, x and y in [0, 1], float32 (S, 2)

    @classmethod
    def of(cls, shapes: Sequence[Tuple[int, int]],
           device: torch.device) -> 'Levels':
        """Describe levels of these shapes."""
        places = torch.tensor([height * width for height, width in shapes])
        centers = [
            torch.cartesian_prod((torch.arange(height) + 0.5) / height,
                                 (torch.arange(width) + 0.5) / width).flip(-1)
            for height, width in shapes
        ]
        sizes = torch.tensor(shapes).flip(-1).float()
        return cls(
            tuple(shapes), sizes.to(device),
            (places.cumsum(0) - places).to(device),
            torch.cat(centers).to(device))

    @property
    def places(self) -> Tuple[int, ...]:
        """tuple[int]: Number of places of each."""
        return tuple(height * width for height, width in self.shapes)


class DeformableAttention(MultiScaleDeformableAttention):
    """mmcv's deformable attention, under the same names of weights, for mixed
    precision and for machines on which mmcv has no CUDA op.

    Under autocast the projections run in half precision; offsets, sampling
    places and the operator stay in float32. Images are without padding.
    """

    operator = 'auto'  # see DeformablePixelDecoder

    def forward(self, query: Tensor, query_pos: Tensor, levels: Levels,
                **kwargs) -> Tensor:
        """Attend, and add the query.

        Args:
            query (Tensor): Of all levels, (B, S, C); the values, too.
            query_pos (Tensor): Its position, (1, S, C).
            levels (Levels): Of the S places.
            **kwargs: Of mmdet's encoder, not used.
        """
        shape = self.num_heads, self.num_levels, self.num_points
        value = self.value_proj(query).unflatten(-1, (self.num_heads, -1))
        positioned = query + query_pos
        weights = self.attention_weights(positioned).float()
        weights = weights.unflatten(-1, (self.num_heads, -1)).softmax(-1)
        with torch.autocast(query.device.type, enabled=False):
            offsets = self.sampling_offsets(positioned.float())
            offsets = offsets.unflatten(-1, (*shape, 2))
            locations = (
                levels.centers[:, None, None, None] +
                offsets / levels.sizes[:, None])
            output = deformable_attention(value, levels, locations,
                                          weights.unflatten(-1, shape[1:]),
                                          self.operator)
        return self.dropout(self.output_proj(output)) + query


def deformable_attention(value: Tensor,
                         levels: Levels,
                         locations: Tensor,
                         weights: Tensor,
                         operator: str = 'auto') -> Tensor:
    """Sum weighted values from between the places of several levels.

    Args:
        value (Tensor): Of all places and heads, (B, S, H, C); of any
            precision, the sums are taken in that of the locations.
        levels (Levels): Of the S places.
        locations (Tensor): Where each query looks, x and y, of which [0, 1]
            lies inside, (B, Q, H, L, P, 2).
        weights (Tensor): (B, Q, H, L, P).
        operator (str): One of ``OPERATORS``.

    Returns:
        Tensor: (B, Q, H * C).
    """
    operator = resolve_operator(operator, value.is_cuda)
    if operator == 'triton':
        from .deformable_attention_triton import TritonDeformableAttention
        return TritonDeformableAttention.apply(value, levels.sizes,
                                               levels.starts, locations,
                                               weights)
    value = value.to(locations)
    if torch.jit.is_tracing():  # to count its operations, for example
        return multi_scale_deformable_attn_pytorch(value, levels.shapes,
                                                   locations, weights)
    if operator == 'torch':
        return _DeformableAttentionFunction.apply(value, levels, locations,
                                                  weights)
    return MultiScaleDeformableAttnFunction.apply(value,
                                                  levels.sizes.flip(-1).long(),
                                                  levels.starts, locations,
                                                  weights, 64)


def resolve_operator(operator: str, is_cuda: bool) -> str:
    """Choose what runs the operator: 'mmcv', 'triton' or 'torch'.

    'auto' takes mmcv's CUDA op where it was compiled, else triton where it
    works, else torch. Off a GPU there is torch alone.
    """
    if not is_cuda:
        return 'torch'
    if operator != 'auto':
        return operator
    if get_compiling_cuda_version() != 'not available':
        return 'mmcv'
    return 'triton' if triton_works() else 'torch'


@functools.lru_cache(maxsize=None)
def triton_works() -> bool:
    """Try the kernels on this GPU, once: do they run and agree with torch?"""
    device = torch.device('cuda')
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(
            'cuda', enabled=False):
        generator = torch.Generator(device).manual_seed(0)
        levels = Levels.of(((8, 8), (4, 4)), device)
        inputs = [
            torch.rand(*shape, device=device,
                       generator=generator).requires_grad_()
            for shape in ((1, 80, 2, 32), (1, 80, 2, 2, 4, 2), (1, 80, 2, 2,
                                                                4))
        ]

        def run(operator: str) -> Sequence[Tensor]:
            output = deformable_attention(inputs[0], levels, *inputs[1:],
                                          operator)
            return output, *torch.autograd.grad(output.square().sum(), inputs)

        try:
            return all(
                torch.allclose(found, expected, rtol=1e-3, atol=1e-3)
                for found, expected in zip(run('triton'), run('torch')))
        except Exception as error:  # of its compiler, of whatever kind
            print_log(
                f'triton does not work here: {error!r}.',
                logger='current',
                level=logging.WARNING)
            return False


class _DeformableAttentionFunction(torch.autograd.Function):
    """In torch, for any device.

    The values sampled, L * P times as large as the result, are neither kept
    for the backward pass nor copied: this is what makes it cheaper than
    mmcv's multi_scale_deformable_attn_pytorch.
    """

    @staticmethod
    def forward(ctx, value: Tensor, levels: Levels, locations: Tensor,
                weights: Tensor) -> Tensor:
        batch, num_places, heads, channels = value.shape
        _, queries, _, num_levels, points, _ = locations.shape
        # As many images as there are heads in the batch; queries innermost.
        maps = value.permute(0, 2, 3, 1).reshape(-1, channels, num_places)
        grids = (2 * locations - 1).permute(3, 0, 2, 4, 1, 5)
        grids = grids.reshape(num_levels, -1, points, queries, 2)
        weights = weights.permute(3, 0, 2, 4, 1)
        weights = weights.reshape(num_levels, -1, 1, points, queries)
        ctx.save_for_backward(maps, grids, weights)
        ctx.levels = levels
        ctx.heads = heads
        output = sum(
            _sample(level, grid).mul_(weight).sum(2)
            for level, grid, weight in zip(
                _split(maps, levels), grids, weights))
        return output.view(batch, heads * channels, queries).transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tuple[Tensor, None, Tensor, Tensor]:
        maps, grids, weights = ctx.saved_tensors
        num_levels, _, points, queries, _ = grids.shape
        grad = grad.transpose(1, 2).reshape(*maps.shape[:2], 1, queries)
        of_maps, of_grids, of_weights = [], [], []
        for level, grid, weight in zip(
                _split(maps, ctx.levels), grids, weights):
            sampled = _sample(level, grid)
            of_weights.append(sampled.mul_(grad).sum(1))
            torch.mul(grad, weight, out=sampled)
            of_map, of_grid = torch.ops.aten.grid_sampler_2d_backward(
                sampled, level, grid, 0, 0, False, (True, True))
            of_maps.append(of_map.flatten(2))
            of_grids.append(of_grid)
        of_value = torch.cat(of_maps, 2).unflatten(0, (-1, ctx.heads))
        heads = -1, ctx.heads
        return (of_value.permute(0, 3, 1, 2), None,
                torch.stack(of_grids).mul_(2).unflatten(1, heads).permute(
                    1, 4, 2, 0, 3, 5), torch.stack(of_weights).unflatten(
                        1, heads).permute(1, 4, 2, 0, 3))


def _split(maps: Tensor, levels: Levels) -> Tuple[Tensor, ...]:
    """Take (N, C, S) apart into a map (N, C, h, w) for each level."""
    return tuple(
        level.unflatten(2, shape)
        for level, shape in zip(maps.split(levels.places, 2), levels.shapes))


def _sample(level: Tensor, grid: Tensor) -> Tensor:
    """Take values from between the places, nothing outside."""
    return F.grid_sample(level, grid, align_corners=False)
