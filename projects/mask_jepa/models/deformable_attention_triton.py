"""Deformable attention as one kernel a pass, for GPUs where triton is."""
from typing import Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 16  # pairs of a query and a head that a program works on


@triton.jit
def _corner(value, image, start, head, x, y, width, height, num_places,
            num_heads, channel, channels, is_row):
    """Values at whole places, zero outside; and where they lie."""
    inside = is_row & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    place = image * num_places + start + y * width + x
    offset = (place * num_heads + head).to(tl.int64)[:,
                                                     None] * channels + channel
    mask = inside[:, None] & (channel < channels)
    values = tl.load(value + offset, mask=mask, other=0.0)
    return values.to(tl.float32), offset, mask


@triton.jit
def _forward(value, sizes, starts, locations, weights, output, num_rows,
             num_places, queries, num_heads: tl.constexpr,
             channels: tl.constexpr, levels: tl.constexpr,
             points: tl.constexpr, padded: tl.constexpr, rows: tl.constexpr):
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    is_row = row < num_rows
    head = row % num_heads
    image = row // (num_heads * queries)
    channel = tl.arange(0, padded)[None, :]
    total = tl.zeros((rows, padded), tl.float32)
    for level in range(levels):
        width = tl.load(sizes + 2 * level)
        height = tl.load(sizes + 2 * level + 1)
        start = tl.load(starts + level).to(tl.int32)
        for point in range(points):
            index = (row.to(tl.int64) * levels + level) * points + point
            weight = tl.load(weights + index, mask=is_row, other=0.0)
            x = tl.load(locations + 2 * index, mask=is_row, other=0.0)
            y = tl.load(locations + 2 * index + 1, mask=is_row, other=0.0)
            x, y = x * width - 0.5, y * height - 0.5
            left, top = tl.floor(x), tl.floor(y)
            right_share, bottom_share = x - left, y - top
            for corner in tl.static_range(4):
                x_share = right_share if corner % 2 else 1 - right_share
                y_share = bottom_share if corner // 2 else 1 - bottom_share
                values, _, _ = _corner(value, image, start, head,
                                       left.to(tl.int32) + corner % 2,
                                       top.to(tl.int32) + corner // 2,
                                       width.to(tl.int32), height.to(tl.int32),
                                       num_places, num_heads, channel,
                                       channels, is_row)
                total += (weight * x_share * y_share)[:, None] * values
    tl.store(
        output + row.to(tl.int64)[:, None] * channels + channel,
        total,
        mask=is_row[:, None] & (channel < channels))


@triton.jit
def _backward(value, sizes, starts, locations, weights, grad, of_value,
              of_locations, of_weights, num_rows, num_places, queries,
              num_heads: tl.constexpr, channels: tl.constexpr,
              levels: tl.constexpr, points: tl.constexpr, padded: tl.constexpr,
              rows: tl.constexpr):
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    is_row = row < num_rows
    head = row % num_heads
    image = row // (num_heads * queries)
    channel = tl.arange(0, padded)[None, :]
    upstream = tl.load(
        grad + row.to(tl.int64)[:, None] * channels + channel,
        mask=is_row[:, None] & (channel < channels),
        other=0.0)
    for level in range(levels):
        width = tl.load(sizes + 2 * level)
        height = tl.load(sizes + 2 * level + 1)
        start = tl.load(starts + level).to(tl.int32)
        for point in range(points):
            index = (row.to(tl.int64) * levels + level) * points + point
            weight = tl.load(weights + index, mask=is_row, other=0.0)
            x = tl.load(locations + 2 * index, mask=is_row, other=0.0)
            y = tl.load(locations + 2 * index + 1, mask=is_row, other=0.0)
            x, y = x * width - 0.5, y * height - 0.5
            left, top = tl.floor(x), tl.floor(y)
            right_share, bottom_share = x - left, y - top
            of_x = tl.zeros((rows, ), tl.float32)
            of_y = tl.zeros((rows, ), tl.float32)
            of_weight = tl.zeros((rows, ), tl.float32)
            for corner in tl.static_range(4):
                x_share = right_share if corner % 2 else 1 - right_share
                y_share = bottom_share if corner // 2 else 1 - bottom_share
                x_sign = 1.0 if corner % 2 else -1.0
                y_sign = 1.0 if corner // 2 else -1.0
                values, offset, mask = _corner(value, image, start, head,
                                               left.to(tl.int32) + corner % 2,
                                               top.to(tl.int32) + corner // 2,
                                               width.to(tl.int32),
                                               height.to(tl.int32), num_places,
                                               num_heads, channel, channels,
                                               is_row)
                tl.atomic_add(
                    of_value + offset,
                    (weight * x_share * y_share)[:, None] * upstream,
                    mask=mask)
                product = tl.sum(upstream * values, 1)
                of_weight += x_share * y_share * product
                of_x += x_sign * y_share * product
                of_y += y_sign * x_share * product
            tl.store(of_weights + index, of_weight, mask=is_row)
            tl.store(
                of_locations + 2 * index, weight * width * of_x, mask=is_row)
            tl.store(
                of_locations + 2 * index + 1,
                weight * height * of_y,
                mask=is_row)


class TritonDeformableAttention(torch.autograd.Function):
    """Values of any precision; places and sums in float32."""

    @staticmethod
    def forward(ctx, value: Tensor, sizes: Tensor, starts: Tensor,
                locations: Tensor, weights: Tensor) -> Tensor:
        value, locations, weights = (
            each.contiguous() for each in (value, locations, weights))
        _, num_places, heads, channels = value.shape
        batch, queries, _, levels, points, _ = locations.shape
        num_rows = batch * queries * heads
        ctx.grid = (triton.cdiv(num_rows, ROWS), )
        ctx.shape = (num_rows, num_places, queries, heads, channels, levels,
                     points, triton.next_power_of_2(channels), ROWS)
        output = value.new_empty(
            batch, queries, heads * channels, dtype=torch.float32)
        inputs = value, sizes, starts, locations, weights
        _forward[ctx.grid](*inputs, output, *ctx.shape)
        ctx.save_for_backward(*inputs)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tuple[Tensor, ...]:
        inputs = value, _, _, locations, weights = ctx.saved_tensors
        of_value = torch.zeros_like(value, dtype=torch.float32)
        of_locations = torch.empty_like(locations)
        of_weights = torch.empty_like(weights)
        _backward[ctx.grid](*inputs, grad.float().contiguous(), of_value,
                            of_locations, of_weights, *ctx.shape)
        return of_value.to(value.dtype), None, None, of_locations, of_weights
