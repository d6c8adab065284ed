import numpy as np
import pytest
import torch

from projects.mask_jepa.losses import VarianceCovarianceLoss


def reference(features, target_std, covariance_weight):
    """VICReg's Eq. 1 and 3 over all places of all images, in numpy."""
    channels = features.shape[1]
    samples = np.moveaxis(features.double().numpy(), 1, -1)
    covariance = np.cov(samples.reshape(-1, channels), rowvar=False)
    std = np.sqrt(np.diag(covariance) + 1e-4)
    variance_term = np.maximum(target_std - std, 0).mean()
    off_diagonal = covariance - np.diag(np.diag(covariance))
    return variance_term + covariance_weight * np.sum(
        off_diagonal**2) / channels


@pytest.fixture
def maps():
    """Two maps of different size; channels of unequal, related spread."""
    generator = torch.Generator().manual_seed(3)
    mixing = torch.randn(5, 5, generator=generator) / 2
    return [
        torch.einsum('bchw,dc->bdhw',
                     torch.randn(2, 5, *size, generator=generator), mixing)
        for size in ((4, 6), (2, 3))
    ]


@pytest.mark.parametrize('target_std, covariance_weight', [(1.0, 1.0),
                                                           (2.0, 0.3)])
def test_equals_the_formula(maps, target_std, covariance_weight):
    expected = np.mean([
        reference(features, target_std, covariance_weight)
        for features in maps
    ])
    loss = VarianceCovarianceLoss(
        target_std, covariance_weight, loss_weight=0.4)
    assert loss(maps).item() == pytest.approx(0.4 * expected, rel=1e-5)


def test_collapsed_features_are_punished_with_a_finite_gradient():
    features = torch.ones(2, 5, 3, 3, requires_grad=True)
    loss = VarianceCovarianceLoss(loss_weight=1.0)([features])
    loss.backward()
    assert loss.item() == pytest.approx(1 - 0.01, rel=1e-5)
    assert features.grad.isfinite().all()


def test_wide_uncorrelated_features_are_free():
    corners = torch.tensor([[2., 2], [2, -2], [-2, 2], [-2, -2]])
    features = corners.T.reshape(1, 2, 2, 2)
    assert VarianceCovarianceLoss()([features]).item() == 0


def test_a_step_downhill_spreads_the_features(maps):
    features = (0.1 * maps[0]).requires_grad_()
    loss = VarianceCovarianceLoss()
    before = loss([features])
    before.backward()
    moved = (features - features.grad).detach()
    assert moved.std() > features.std()
    assert loss([moved]) < before


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(maps, dtype):
    """A covariance of 300^2 would overflow float16."""
    half = [(300 * features).to(dtype) for features in maps]
    loss = VarianceCovarianceLoss(loss_weight=1.0)(half)
    expected = np.mean([reference(features, 1.0, 1.0) for features in half])
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-4)
