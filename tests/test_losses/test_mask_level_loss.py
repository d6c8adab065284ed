import numpy as np
import pytest
import torch

from projects.mask_jepa.losses import MaskLevelLoss


def reference(logits):
    """The formula of the docstring, place by place, in numpy."""
    values = []
    columns = np.moveaxis(logits.detach().double().numpy(), 1, -1)
    for place in columns.reshape(-1, logits.shape[1]):
        middle = (place.max() + place.mean()) / 2
        half_distance = (place.max() - place.mean()) / 2
        values.append(middle**2 / (middle**2 + half_distance**2 + 1e-6))
    return np.mean(values)


def partition(num_queries, height, owner_logit):
    """Each place has one owner; the others mirror it: mean = -owner."""
    others = -owner_logit * (num_queries + 1) / (num_queries - 1)
    logits = torch.full((1, num_queries, height, num_queries), others)
    for column in range(num_queries):
        logits[:, column, :, column] = owner_logit
    return logits


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(4)
    return 3 * torch.randn(2, 7, 4, 5, generator=generator) - 4


def test_equals_the_formula(logits):
    loss = MaskLevelLoss(loss_weight=0.6)(logits)
    assert loss.item() == pytest.approx(0.6 * reference(logits), rel=1e-5)


@pytest.mark.parametrize('owner_logit', [0.5, 4.0])
def test_balanced_partition_costs_nothing(owner_logit):
    logits = partition(5, 3, owner_logit).requires_grad_()
    loss = MaskLevelLoss(1.0)(logits)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert logits.grad.abs().max() < 1e-4


def test_one_half_where_an_end_lies_at_zero():
    """Owner at zero, or average at zero: m = d, so L = 1/2."""
    balanced = partition(5, 3, 2.0)
    for shift in (-2.0, 2.0):
        loss = MaskLevelLoss(1.0)(balanced + shift)
        assert loss.item() == pytest.approx(0.5, abs=1e-4)


def test_scaling_all_logits_changes_nothing(logits):
    torch.testing.assert_close(MaskLevelLoss(1.0)(8 * logits),
                               MaskLevelLoss(1.0)(logits))


@pytest.mark.parametrize('sign', [-1, 1])
def test_grows_with_a_common_shift(sign):
    balanced = partition(6, 2, 1.5)
    losses = [
        MaskLevelLoss(1.0)(balanced + sign * shift).item()
        for shift in (0.0, 0.3, 1.0, 3.0, 10.0, 100.0)
    ]
    assert losses == sorted(losses)
    assert losses[0] < 0.01 < losses[1] and losses[-1] > 0.95


@pytest.mark.parametrize('values', [
    torch.zeros(1, 4, 2, 2),
    torch.full((1, 4, 2, 2), 1e4),
    torch.full((1, 4, 2, 2), -1e4),
    torch.linspace(-9, 9, 32).view(1, 8, 2, 2)
])
def test_stays_between_zero_and_one(values):
    values = values.clone().requires_grad_()
    loss = MaskLevelLoss(1.0)(values)
    loss.backward()
    assert 0 <= loss.item() <= 1
    assert values.grad.isfinite().all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(logits, dtype):
    """Squares of 500 would overflow float16."""
    half = (200 * logits).to(dtype)
    loss = MaskLevelLoss(1.0)(half)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(reference(half), rel=1e-4)
