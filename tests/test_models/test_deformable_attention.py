"""Deformable attention, compared with mmcv's own."""
import os
import subprocess
import sys

import pytest
import torch
from mmcv.cnn.bricks.transformer import MultiScaleDeformableAttention
from mmcv.ops.multi_scale_deform_attn import \
    multi_scale_deformable_attn_pytorch

from mask_jepa.models import DeformableAttention
from mask_jepa.models.deformable_attention import (Levels,
                                                   deformable_attention,
                                                   resolve_operator)

SHAPES = ((3, 5), (4, 2), (1, 6))
CPU = torch.device('cpu')


def operator_inputs(dtype):
    """Values, places (some of them outside) and weights of two images."""
    torch.manual_seed(0)
    places = sum(height * width for height, width in SHAPES)
    inputs = (torch.randn(2, places, 2, 4), torch.rand(2, 7, 2, 3, 2, 2) * 1.6
              - 0.3, torch.rand(2, 7, 2, 3, 2))
    return [each.to(dtype).requires_grad_() for each in inputs]


def test_operator_and_gradients_equal_those_of_mmcv():
    value, locations, weights = inputs = operator_inputs(torch.float32)
    levels = Levels.of(SHAPES, CPU)
    own = deformable_attention(value, levels, locations, weights)
    theirs = multi_scale_deformable_attn_pytorch(value, SHAPES, locations,
                                                 weights)
    torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-6)
    upstream = torch.randn_like(own)
    for mine, other in zip(
            torch.autograd.grad(own, inputs, upstream),
            torch.autograd.grad(theirs, inputs, upstream)):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_gradients_are_the_derivatives():
    value, locations, weights = operator_inputs(torch.float64)
    levels = Levels.of(SHAPES, CPU)
    assert torch.autograd.gradcheck(
        lambda *inputs: deformable_attention(inputs[0], levels, *inputs[1:]),
        (value, locations, weights))


def test_levels_describe_every_place():
    levels = Levels.of(SHAPES, CPU)
    assert levels.places == (15, 8, 6)
    assert levels.starts.tolist() == [0, 15, 23]
    assert levels.sizes.tolist() == [[5, 3], [2, 4], [6, 1]]
    # The second place of the first level: the centre of its second column.
    torch.testing.assert_close(levels.centers[1], torch.tensor([1.5 / 5,
                                                                0.5 / 3]))
    torch.testing.assert_close(levels.centers[-1],
                               torch.tensor([5.5 / 6, 0.5]))


@pytest.fixture
def layers():
    """mmcv's layer with random weights, and ours with the same ones."""
    torch.manual_seed(1)
    settings = dict(
        embed_dims=16, num_heads=2, num_levels=3, num_points=2, dropout=0.0)
    stock = MultiScaleDeformableAttention(batch_first=True, **settings)
    for parameter in stock.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    own = DeformableAttention(batch_first=True, **settings)
    own.load_state_dict(stock.state_dict())
    return stock, own


def run(layer, query, position):
    """Attend from all places to all places."""
    levels = Levels.of(SHAPES, CPU)
    centers = levels.centers[None, :, None].expand(2, -1, 3, -1)
    return layer(
        query,
        query_pos=position,
        levels=levels,
        reference_points=centers,
        spatial_shapes=torch.tensor(SHAPES),
        level_start_index=levels.starts)


def test_layer_equals_that_of_mmcv(layers):
    query, position = torch.randn(2, 29, 16), torch.randn(1, 29, 16)
    outputs = [run(layer, query, position) for layer in layers]
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    for output in outputs:
        output.square().sum().backward()
    for mine, other in zip(*(layer.parameters() for layer in layers)):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-3)


def test_sampling_stays_in_float32_under_autocast(layers, monkeypatch):
    seen = []

    def spy(value, levels, locations, weights, operator):
        seen.extend((value, locations, weights))
        return deformable_attention(value, levels, locations, weights)

    monkeypatch.setattr(
        'mask_jepa.models.deformable_attention.deformable_attention',
        spy)
    query, position = torch.randn(2, 29, 16), torch.randn(1, 29, 16)
    exact = run(layers[1], query, position)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = run(layers[1], query, position)
    value, locations, weights = zip(seen[:3], seen[3:])
    for each in (*locations, *weights, mixed):
        assert each.dtype == torch.float32
    assert [each.dtype for each in value] == [torch.float32, torch.bfloat16]
    assert torch.equal(*locations)  # not even rounded
    torch.testing.assert_close(mixed, exact, rtol=0.05, atol=0.1)


@pytest.mark.parametrize('operator, compiled_with, triton, expected', [
    ('auto', '13.0', True, 'mmcv'),
    ('auto', 'not available', True, 'triton'),
    ('auto', 'not available', False, 'torch'),
    ('torch', '13.0', True, 'torch'),
    ('triton', '13.0', False, 'triton'),
    ('mmcv', 'not available', True, 'mmcv'),
])
def test_choice_of_the_operator(operator, compiled_with, triton, expected,
                                monkeypatch):
    path = 'mask_jepa.models.deformable_attention.'
    monkeypatch.setattr(f'{path}get_compiling_cuda_version',
                        lambda: compiled_with)
    monkeypatch.setattr(f'{path}triton_works', lambda: triton)
    assert resolve_operator(operator, is_cuda=True) == expected
    assert resolve_operator(operator, is_cuda=False) == 'torch'


TRITON = """
import torch
from mask_jepa.models.deformable_attention import (
    Levels, deformable_attention)
from mask_jepa.models.deformable_attention_triton import (
    TritonDeformableAttention)
torch.manual_seed(0)
levels = Levels.of(((3, 5), (4, 2), (1, 6)), torch.device('cpu'))
# Channels that are no power of two, and rows that fill no block.
value = torch.randn(2, 29, 2, 3, requires_grad=True)
locations = (torch.rand(2, 7, 2, 3, 2, 2) * 1.6 - 0.3).requires_grad_()
weights = torch.rand(2, 7, 2, 3, 2, requires_grad=True)
inputs = value, locations, weights
kernels = TritonDeformableAttention.apply(value, levels.sizes, levels.starts,
                                          locations, weights)
plain = deformable_attention(value, levels, locations, weights)
upstream = torch.randn_like(plain)
for found, expected in zip(
        (kernels, *torch.autograd.grad(kernels, inputs, upstream)),
        (plain, *torch.autograd.grad(plain, inputs, upstream))):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
half = TritonDeformableAttention.apply(value.bfloat16(), levels.sizes,
                                       levels.starts, locations, weights)
assert half.dtype == torch.float32
torch.testing.assert_close(half, plain, rtol=0.02, atol=0.05)
"""


@pytest.mark.slow
def test_triton_kernels_equal_torch(root):
    pytest.importorskip('triton')
    # triton decides at import whether it interprets its kernels.
    subprocess.run([sys.executable, '-c', TRITON],
                   cwd=root,
                   env=dict(os.environ, TRITON_INTERPRET='1'),
                   check=True)
