"""Losses of maps and images, against their formulas."""
import numpy as np
import pytest
import torch

from mask_jepa.losses import (JEPALoss, ReconstructionLoss,
                              VarianceCovarianceLoss, prediction_error)

# The error of the predicted map, JEPALoss.


def reference(prediction, target, hidden, beta):
    """The JEPA loss, place by place, in numpy's float64."""
    prediction, target = (tensor.detach().double().numpy()
                          for tensor in (prediction, target))
    distances = []
    for image, row, column in np.argwhere(hidden[:, 0].numpy()):
        wanted = target[image, :, row, column]
        wanted = (wanted - wanted.mean()) / np.sqrt(wanted.var() + 1e-5)
        error = np.abs(prediction[image, :, row, column] - wanted)
        distances.append(
            np.where(error < beta, error**2 / (2 * beta), error - beta / 2))
    return np.mean(distances)


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(1)
    prediction = 2 * torch.randn(2, 6, 3, 4, generator=generator)
    target = 3 + 5 * torch.randn(2, 6, 3, 4, generator=generator)
    hidden = torch.rand(2, 1, 3, 4, generator=generator) > 0.4
    return prediction.requires_grad_(), target, hidden


@pytest.mark.parametrize('beta', [0.3, 1.0])
def test_jepa_equals_the_formula(maps, beta):
    loss = JEPALoss(beta=beta, loss_weight=2.5)(*maps)
    assert loss.item() == pytest.approx(2.5 * reference(*maps, beta), rel=1e-5)


def test_error_of_each_place_equals_the_formula(maps):
    prediction, target, hidden = maps
    error = prediction_error(prediction, target)
    assert error.shape == (2, 3, 4)
    for image, row, column in np.ndindex(2, 3, 4):
        alone = torch.zeros_like(hidden)
        alone[image, 0, row, column] = True
        assert error[image, row, column].item() == pytest.approx(
            reference(prediction, target, alone, 1.0), rel=1e-5)


def test_only_hidden_places_get_a_gradient(maps):
    prediction, target, hidden = maps
    JEPALoss()(prediction, target, hidden).backward()
    assert torch.equal(prediction.grad.abs().sum(1, keepdim=True) > 0, hidden)


def test_images_weigh_by_their_hidden_places(maps):
    """A mean over all hidden places, not over the images' means."""
    prediction, target, hidden = maps
    hidden = torch.zeros_like(hidden)
    hidden[0, 0, 0, 0] = True
    hidden[1] = True
    assert JEPALoss()(prediction, target, hidden).item() == pytest.approx(
        reference(prediction, target, hidden, 1.0), rel=1e-5)


def test_scale_and_offset_of_the_target_do_not_matter(maps):
    prediction, target, hidden = maps
    moved = JEPALoss()(prediction, 10 * target + 7, hidden)
    torch.testing.assert_close(moved, JEPALoss()(prediction, target, hidden))


def test_empty_mask_gives_zero_loss_and_gradient(maps):
    prediction, target, hidden = maps
    loss = JEPALoss()(prediction, target, torch.zeros_like(hidden))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_compared_in_float32(maps, dtype):
    prediction, target, hidden = maps
    prediction = prediction.detach().to(dtype)
    target = (1000 * target).to(dtype)
    loss = JEPALoss()(prediction, target, hidden)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, JEPALoss()(prediction.float(), target.float(),
                                        hidden))
    assert loss.item() == pytest.approx(
        reference(prediction, target, hidden, 1.0), rel=1e-5)


# The error of the painted image, ReconstructionLoss.


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, 3, 5, 4, generator=generator) for _ in range(2)]


def test_reconstruction_equals_the_formula(pair):
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
def test_reconstruction_in_half_precision_is_compared_in_float32(pair, dtype):
    """An error of 300 squares to more than float16 holds."""
    half = (300 * pair[0]).to(dtype)
    loss = ReconstructionLoss()(half, pair[1])
    expected = np.mean(
        (half.double().numpy() - pair[1].double().numpy())**2)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-5)


# The regulariser, VarianceCovarianceLoss.


def variance_covariance(features, target_std, covariance_weight):
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
def levels():
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
def test_variance_covariance_equals_the_formula(levels, target_std,
                                                covariance_weight):
    expected = np.mean([
        variance_covariance(features, target_std, covariance_weight)
        for features in levels
    ])
    loss = VarianceCovarianceLoss(
        target_std, covariance_weight, loss_weight=0.4)
    assert loss(levels).item() == pytest.approx(0.4 * expected, rel=1e-5)


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


def test_a_step_downhill_spreads_the_features(levels):
    features = (0.1 * levels[0]).requires_grad_()
    loss = VarianceCovarianceLoss()
    before = loss([features])
    before.backward()
    moved = (features - features.grad).detach()
    assert moved.std() > features.std()
    assert loss([moved]) < before


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(levels, dtype):
    """A covariance of 300^2 would overflow float16."""
    half = [(300 * features).to(dtype) for features in levels]
    loss = VarianceCovarianceLoss(loss_weight=1.0)(half)
    expected = np.mean(
        [variance_covariance(features, 1.0, 1.0) for features in half])
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-4)
