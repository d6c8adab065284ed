import math

import numpy as np
import pytest
import torch

from projects.mask_jepa.models.monitors import (channel_std, effective_rank,
                                                monitor_values)


def samples_of(features):
    channels = features.shape[1]
    return np.moveaxis(features.double().numpy(), 1, -1).reshape(-1, channels)


def reference_rank(features):
    """Exponential of the entropy of the normalised singular values."""
    samples = samples_of(features)
    values = np.linalg.svd(samples - samples.mean(0), compute_uv=False)
    share = values / values.sum()
    share = share[share > 0]
    return np.exp(-(share * np.log(share)).sum())


def reference_std(features):
    samples = samples_of(features)
    samples = samples / np.linalg.norm(samples, axis=1, keepdims=True)
    return samples.std(0, ddof=1).mean() * samples.shape[1]**0.5


def random_maps(shape, scale=1.0):
    return scale * torch.randn(
        *shape, generator=torch.Generator().manual_seed(6))


@pytest.fixture
def uneven():
    """Features of very different spread in 12 channels, off zero."""
    scale = torch.logspace(0, -2, 12)[:, None, None]
    return random_maps((2, 12, 10, 10)) * scale + 0.3


def test_rank_equals_the_singular_values(uneven):
    assert effective_rank(uneven).item() == pytest.approx(
        reference_rank(uneven), rel=1e-3)
    assert 2 < effective_rank(uneven) < 9


def test_std_equals_the_formula(uneven):
    assert channel_std(uneven).item() == pytest.approx(
        reference_std(uneven), rel=1e-5)


def test_isotropic_features():
    features = random_maps((4, 16, 40, 40))
    assert channel_std(features).item() == pytest.approx(1, abs=0.01)
    assert effective_rank(features).item() == pytest.approx(16, abs=0.05)


def test_one_direction_has_rank_one():
    strength = random_maps((2, 1, 8, 8))
    direction = torch.linspace(-1, 1, 16)[None, :, None, None]
    rank = effective_rank(strength * direction + 4).item()
    assert rank == pytest.approx(1, abs=0.02)


def test_collapsed_features():
    """The same vector everywhere: no spread, and a rank that is finite."""
    features = torch.linspace(1, 2, 16)[None, :, None, None].expand(
        2, 16, 4, 4)
    assert channel_std(features).item() == pytest.approx(0, abs=1e-5)
    constant = torch.ones(2, 16, 4, 4)
    assert effective_rank(constant).item() == pytest.approx(1)


def test_values_of_masks_worked_by_hand():
    """Two queries of three own places; 3 of 4 places are in some mask."""
    logits = torch.tensor([
        [[[3., -2.], [-1., -1.]]],
        [[[2., 4.], [-3., 1.]]],
        [[[-9., -9.], [-9., -9.]]],
    ]).permute(1, 0, 2, 3)
    weights = logits.softmax(1)
    features = random_maps((1, 4, 2, 2))
    values = monitor_values(features, features, logits, weights)
    assert values['monitor/logits_above_zero'] == pytest.approx(4 / 12)
    assert values['monitor/places_covered'] == pytest.approx(3 / 4)
    assert values['monitor/queries_used'] == pytest.approx(2 / 3)
    entropy = -(weights * weights.log()).sum() / 4
    assert values['monitor/mask_entropy'] == pytest.approx(entropy.item())


def test_entropy_of_equal_masks_is_that_of_the_queries():
    weights = torch.full((2, 7, 3, 3), 1 / 7)
    features = random_maps((2, 4, 3, 3))
    values = monitor_values(features, features, weights, weights)
    assert values['monitor/mask_entropy'].item() == pytest.approx(math.log(7))


def test_target_and_online_are_not_confused(uneven):
    other = random_maps((2, 12, 6, 6))
    masks = torch.zeros(2, 3, 10, 10)
    values = monitor_values(uneven, other, masks, masks)
    for name, features in dict(target=uneven, online=other).items():
        assert values[f'monitor/{name}_rank'].item() == pytest.approx(
            reference_rank(features), rel=1e-3)
        assert values[f'monitor/{name}_std'].item() == pytest.approx(
            reference_std(features), rel=1e-5)
