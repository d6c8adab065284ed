import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from projects.mask_jepa.evaluation.feature_health import (channel_std,
                                                          effective_rank,
                                                          mask_entropy,
                                                          mean_cosines,
                                                          mean_norm,
                                                          used_share)


def samples_of(features):
    channels = features.shape[1]
    return np.moveaxis(features.double().numpy(), 1, -1).reshape(-1, channels)


def unit_samples_of(features):
    samples = samples_of(features)
    return samples / np.linalg.norm(samples, axis=1, keepdims=True)


def reference_rank(features):
    """Exponential of the entropy of the normalised singular values."""
    samples = samples_of(features)
    values = np.linalg.svd(samples - samples.mean(0), compute_uv=False)
    share = values / values.sum()
    share = share[share > 0]
    return np.exp(-(share * np.log(share)).sum())


def reference_std(features):
    samples = unit_samples_of(features)
    return samples.std(0, ddof=1).mean() * samples.shape[1]**0.5


def reference_cosines(features):
    """Every pair of two different places, one by one."""
    samples = unit_samples_of(features)
    image = np.arange(len(samples)) // (len(samples) // len(features))
    within, between = [], []
    for one in range(len(samples)):
        for other in range(one):
            pairs = within if image[one] == image[other] else between
            pairs.append(samples[one] @ samples[other])
    return np.mean(within), np.mean(between)


def random_maps(shape, scale=1.0):
    return scale * torch.randn(
        *shape, generator=torch.Generator().manual_seed(6))


@pytest.fixture
def uneven():
    """Features of very different spread in 12 channels, off zero."""
    scale = torch.logspace(0, -2, 12)[:, None, None]
    return random_maps((3, 12, 6, 10)) * scale + 0.3


@pytest.fixture
def isotropic():
    return random_maps((4, 16, 40, 40))


@pytest.fixture
def constant():
    """The same vector everywhere."""
    return torch.linspace(1, 2, 16)[None, :, None, None].expand(2, 16, 4, 4)


def one_hot_weights(owners, num_queries):
    """Alpha where each place has one query; owners (B, h, w)."""
    return F.one_hot(torch.tensor(owners), num_queries).movedim(-1, 1).float()


def test_rank_equals_the_singular_values(uneven):
    assert effective_rank(uneven).item() == pytest.approx(
        reference_rank(uneven), rel=1e-3)
    assert 2 < effective_rank(uneven) < 9


def test_std_equals_the_formula(uneven):
    assert channel_std(uneven).item() == pytest.approx(
        reference_std(uneven), rel=1e-5)


def test_cosines_equal_those_of_all_pairs(uneven):
    expected = reference_cosines(uneven)
    for found, value in zip(mean_cosines(uneven), expected):
        assert found.item() == pytest.approx(value, rel=1e-4)
    assert abs(expected[0] - expected[1]) > 1e-3


def test_norm_equals_the_formula(uneven):
    expected = np.linalg.norm(samples_of(uneven), axis=1).mean()
    assert mean_norm(uneven).item() == pytest.approx(expected, rel=1e-5)


def test_isotropic_features(isotropic):
    assert channel_std(isotropic).item() == pytest.approx(1, abs=0.01)
    assert effective_rank(isotropic).item() == pytest.approx(16, abs=0.05)
    for cosine in mean_cosines(isotropic):
        assert cosine.item() == pytest.approx(0, abs=1e-3)


def test_one_direction_has_rank_one():
    strength = random_maps((2, 1, 8, 8))
    direction = torch.linspace(-1, 1, 16)[None, :, None, None]
    rank = effective_rank(strength * direction + 4).item()
    assert rank == pytest.approx(1, abs=0.02)


def test_collapsed_features(constant):
    """No spread, all alike, and a rank that is finite."""
    assert channel_std(constant).item() == pytest.approx(0, abs=1e-5)
    for cosine in mean_cosines(constant):
        assert cosine.item() == pytest.approx(1)
    assert effective_rank(constant).isfinite()
    assert effective_rank(torch.ones(2, 16, 4, 4)).item() == pytest.approx(1)


def test_length_matters_to_the_norm_alone(uneven):
    assert mean_norm(3 * uneven).item() == pytest.approx(
        3 * mean_norm(uneven).item())
    for measure in (channel_std, effective_rank):
        assert measure(3 * uneven).item() == pytest.approx(
            measure(uneven).item(), rel=1e-4)
    for one, other in zip(mean_cosines(3 * uneven), mean_cosines(uneven)):
        assert one.item() == pytest.approx(other.item(), rel=1e-4)


def test_two_images_that_point_apart():
    features = torch.ones(2, 8, 3, 3)
    features[1] *= -2
    within, between = mean_cosines(features)
    assert within.item() == pytest.approx(1)
    assert between.item() == pytest.approx(-1)
    # Lengths sqrt(8) and 2 sqrt(8).
    assert mean_norm(features).item() == pytest.approx(1.5 * 8**0.5)


def test_a_single_image_has_no_other_one(uneven):
    within, between = mean_cosines(uneven[:1])
    assert within.item() == pytest.approx(
        reference_cosines(uneven[[0, 0]])[0], rel=1e-4)
    assert between.isnan()


def test_entropy_equals_the_formula():
    weights = random_maps((2, 5, 3, 4)).softmax(1)
    alpha = weights.double().numpy()
    expected = -(alpha * np.log(alpha)).sum(1).mean()
    assert mask_entropy(weights).item() == pytest.approx(expected, rel=1e-5)


def test_decided_and_undecided_masks():
    decided = one_hot_weights([[[0, 1], [1, 4]]], 5)
    assert mask_entropy(decided).item() == 0
    uniform = torch.full((2, 7, 3, 3), 1 / 7)
    assert mask_entropy(uniform).item() == pytest.approx(math.log(7))


def test_used_share_worked_by_hand():
    """Two of four queries in the first image, three in the second."""
    owners = [[[0, 0], [2, 0]], [[1, 3], [2, 1]]]
    weights = one_hot_weights(owners, 4)
    assert used_share(weights).item() == (2 / 4 + 3 / 4) / 2
    # Who is the strongest counts, not by how much.
    assert used_share(weights * 0.2 + 0.2).item() == 5 / 8


def test_one_mask_over_everything():
    weights = one_hot_weights([[[3] * 4] * 4] * 2, 8)
    assert used_share(weights).item() == 1 / 8


@pytest.mark.parametrize(
    'measure', [effective_rank, channel_std, mean_norm, mean_cosines])
def test_bfloat16_is_measured_in_float32(measure, uneven):
    rounded = uneven.bfloat16()
    found, expected = measure(rounded), measure(rounded.float())
    if measure is not mean_cosines:
        found, expected = [found], [expected]
    for value, other in zip(found, expected):
        assert value.dtype == torch.float32
        assert torch.equal(value, other)


def test_bfloat16_masks_are_measured_in_float32():
    weights = random_maps((2, 5, 3, 4)).softmax(1).bfloat16()
    for measure in (mask_entropy, used_share):
        value = measure(weights)
        assert value.dtype == torch.float32
        assert torch.equal(value, measure(weights.float()))
