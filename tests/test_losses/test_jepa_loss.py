import numpy as np
import pytest
import torch

from projects.mask_jepa.losses import JEPALoss, prediction_error


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
def test_equals_the_formula(maps, beta):
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
