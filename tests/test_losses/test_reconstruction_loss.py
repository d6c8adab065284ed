import numpy as np
import pytest
import torch

from projects.mask_jepa.losses import ReconstructionLoss


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, 3, 5, 4, generator=generator) for _ in range(2)]


def test_equals_the_formula(pair):
    first, second = (tensor.double().numpy() for tensor in pair)
    expected = 0.7 * np.sum((first - second)**2) / first.size
    loss = ReconstructionLoss(loss_weight=0.7)(*pair)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_equals_the_formula(pair):
    pair[0].requires_grad_()
    ReconstructionLoss()(*pair).backward()
    expected = 2 * (pair[0] - pair[1]).detach() / pair[0].numel()
    torch.testing.assert_close(pair[0].grad, expected)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_compared_in_float32(pair, dtype):
    """An error of 300 squares to more than float16 holds."""
    half = (300 * pair[0]).to(dtype)
    loss = ReconstructionLoss()(half, pair[1])
    expected = np.mean(
        (half.double().numpy() - pair[1].double().numpy())**2)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-5)
