"""Arithmetic and memory, worked out by hand."""
from functools import partial, reduce

import pytest
import torch
from mmcv.cnn.bricks.transformer import MultiScaleDeformableAttention
from torch import nn
from torch.utils.checkpoint import checkpoint

from mask_jepa.benchmark import (StepCounts, bytes_kept_for_backward, compare,
                                 count_flops, measure, usable_tflops)
from mask_jepa.models import DeformableAttention
from mask_jepa.models.deformable_attention import Levels

CHANNELS, HEADS, LEVELS, POINTS = 16, 4, 2, 3
SHAPES = ((2, 3), (4, 6))
PLACES = 6 + 24


@pytest.fixture
def attention():
    return MultiScaleDeformableAttention(
        CHANNELS, HEADS, LEVELS, POINTS, batch_first=True)


def flops_by_hand():
    """Of four projections, and eight for each value that is sampled."""
    sampled = HEADS * LEVELS * POINTS
    projections = 2 * CHANNELS + 2 * sampled + sampled
    return PLACES * (2 * CHANNELS * projections + 8 * sampled *
                     CHANNELS // HEADS)


def test_arithmetic_of_mmcvs_deformable_attention(attention):
    query = torch.randn(1, PLACES, CHANNELS)
    shapes = torch.tensor(SHAPES)
    assert count_flops(lambda: attention(
        query,
        reference_points=torch.rand(1, PLACES, LEVELS, 2),
        spatial_shapes=shapes,
        level_start_index=torch.tensor([0, 6]))) == flops_by_hand()


def test_arithmetic_of_our_deformable_attention(attention):
    attention.__class__ = DeformableAttention
    levels = Levels.of(SHAPES, torch.device('cpu'))
    query = torch.randn(1, PLACES, CHANNELS)
    position = torch.zeros_like(query)

    def forward():
        return attention(query, position, levels)

    forwards = count_flops(forward)
    assert forwards == flops_by_hand()
    # Of each projection the gradients of weights and input, but that of the
    # query; what was sampled is sampled once more, and has two gradients.
    samples = PLACES * 8 * HEADS * LEVELS * POINTS * CHANNELS // HEADS
    projections = forwards - samples
    of_query = 2 * PLACES * CHANNELS * (
        CHANNELS + 3 * HEADS * LEVELS * POINTS)
    assert count_flops(lambda: forward().sum().backward()) == (
        3 * projections - of_query + 4 * samples)


def test_arithmetic_of_attention():
    """Two products, forwards; five, since it keeps no weights, backwards."""
    inputs = [torch.randn(2, 4, 6, 8, requires_grad=True) for _ in range(3)]
    product = 2 * 2 * 4 * 6 * 6 * 8

    def attend():
        return nn.functional.scaled_dot_product_attention(*inputs)

    assert count_flops(attend) == 2 * product
    assert count_flops(lambda: attend().sum().backward()) == 7 * product


def test_kept_for_backward():
    """The results of product, exp, and sum, 4 bytes each number."""
    linear = nn.Linear(5, 7, bias=False)
    image = torch.randn(3, 5)
    kept = bytes_kept_for_backward(lambda: linear(image).exp().sum())
    assert kept == 4 * (3 * 7 + 1)  # The product's goes: nobody needs it.


def test_shared_memory_counts_once():
    weight = nn.Parameter(torch.ones(5))
    kept = bytes_kept_for_backward(
        lambda: sum(part.square().sum() for part in weight.exp().split(2)))
    assert kept == 4 * (5 + 1)


def test_checkpointing_keeps_the_input_alone():
    layers = nn.Sequential(*[nn.Sigmoid() for _ in range(6)])
    image = torch.randn(3, 5, requires_grad=True)
    for steps in (None, (0, 6)):
        parts = layers if steps is None else [
            partial(checkpoint, layers, use_reentrant=False)]
        kept = bytes_kept_for_backward(
            lambda: reduce(lambda value, part: part(value), parts, image))
        # Of the former, all results; of the latter, the last.
        assert kept == 4 * 15 * (6 if steps is None else 1)


def test_usable_tflops_is_the_work_over_the_time():
    value = usable_tflops(
        torch.device('cpu'), torch.float32, lambda function: 0.5)
    assert value == pytest.approx(2 * 1024**3 / 0.5 / 1e12)


@pytest.mark.parametrize('arm', ['mask_jepa', 'supervised', 'byol'])
def test_a_measured_step(make_step, arm):
    step = make_step(arm)
    for _ in range(2):
        step.time()
    result = measure(step, peak_tflops=2.0)
    # The optimiser keeps two numbers for each weight that it moves.
    weights = sum(each.numel() for each in step.model.parameters())
    trained = sum(each.numel() for each in step.model.parameters()
                  if each.requires_grad)
    assert result['state_mb'] * 2**20 == pytest.approx(
        4 * (weights + 3 * trained), rel=0.02)
    assert result['memory_mb'] == pytest.approx(
        result['state_mb'] + result['kept_for_backward_mb'], abs=0.11)
    assert result['images_per_s'] == pytest.approx(
        2000 / result['median_ms'], rel=0.02)
    assert result['share_of_matmul_peak'] == pytest.approx(
        result['gflop'] / result['median_ms'] / 2.0, abs=6e-4)
    assert result['optimizer_groups'] == len(step.optim_wrapper.param_groups)

    data = step.model.data_preprocessor(step.batch, training=True)
    with StepCounts() as counts:
        step.model(**data, mode='loss')
    # Besides, they are summed to one.
    assert 0 <= result['forward_operator_calls'] - counts.num_operators <= 40
    if arm == 'mask_jepa':
        assert result['forward_host_syncs'] == counts.num_syncs == 2


def test_comparison_is_of_pairs():
    ours, theirs = (
        dict(steps_ms=times, gflop=gflop, memory_mb=memory)
        for times, gflop, memory in (([1., 4., 9.], 3., 8.),
                                     ([2., 4., 3.], 2., 10.)))
    assert compare(dict(mask_jepa=ours, byol=theirs)) == dict(
        byol=dict(time=1.0, time_lowest=0.5, time_highest=3.0, gflop=1.5,
                  memory=0.8))
