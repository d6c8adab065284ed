"""Hidden places and prediction errors."""
import numpy as np
import pytest
import torch

from projects.mask_jepa.losses import JEPALoss, prediction_error
from projects.mask_jepa.visualization.error_colours import (MAX_ERROR,
                                                            colour_error)
from projects.mask_jepa.visualization.hidden_places import (OUTLINE,
                                                            cover_hidden,
                                                            outline_hidden)
from projects.mask_jepa.visualization.to_picture import to_picture


@pytest.fixture
def hidden():
    return torch.tensor([[True, False], [False, False]])


def test_error_is_the_formula_by_hand():
    rng = np.random.default_rng(0)
    target = rng.normal(3, 2, (5, 2, 3))
    prediction = rng.normal(0, 1, (5, 2, 3))
    expected = np.zeros((2, 3))
    for row in range(2):
        for column in range(3):
            values = target[:, row, column]
            values = (values - values.mean()) / np.sqrt(values.var() + 1e-5)
            for one, other in zip(prediction[:, row, column], values):
                off = abs(one - other)
                expected[row, column] += (
                    off**2 / 2 if off < 1 else off - 0.5) / 5
    found = prediction_error(
        torch.from_numpy(prediction), torch.from_numpy(target))
    assert found.numpy() == pytest.approx(expected, rel=1e-5)


def test_mean_error_is_the_loss():
    prediction, target = torch.randn(2, 1, 16, 4, 4).unbind()
    everywhere = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    loss = JEPALoss()(prediction, target, everywhere)
    error = prediction_error(prediction[0], target[0])
    assert error.mean().item() == pytest.approx(loss.item(), rel=1e-5)


def test_scale_of_the_error_is_fixed():
    error = np.array([[0, MAX_ERROR / 2, MAX_ERROR, 9]])
    colours = colour_error(error)[0]
    assert (colours[0] == colour_error(np.zeros((1, 1)))).all()
    assert (np.diff(colours.sum(-1))[:2] > 0.5).all()  # ever brighter
    assert (colours[2] == colours[3]).all()


def test_hidden_places_are_grey_and_the_others_untouched(hidden):
    picture = np.random.default_rng(0).random((64, 64, 3))
    covered = cover_hidden(picture, hidden)
    assert (covered[:32, :32] == 0.5).all()
    assert (covered[32:] == picture[32:]).all()
    assert (covered[:, 32:] == picture[:, 32:]).all()


def test_outline_stays_inside_the_hidden_places(hidden):
    picture = np.zeros((64, 64, 3))
    outlined = outline_hidden(picture, hidden)
    line = (outlined == OUTLINE).all(-1)
    expected = np.zeros((64, 64), bool)
    expected[:32, :32] = True
    expected[1:31, 1:31] = False
    assert np.array_equal(line, expected)


def test_normalisation_is_undone():
    pixels = torch.randint(0, 256, (3, 4, 5)).float()
    mean = torch.tensor([120.0, 110.0, 100.0])[:, None, None]
    std = torch.tensor([50.0, 60.0, 70.0])[:, None, None]
    picture = to_picture((pixels - mean) / std, mean, std)
    assert picture == pytest.approx(
        pixels.permute(1, 2, 0).numpy() / 255, abs=1e-5)
