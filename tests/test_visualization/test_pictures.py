import random

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from projects.mask_jepa.visualization import fixed_batch
from projects.mask_jepa.visualization.pictures import (OUTLINE, cover_hidden,
                                                       outline_hidden,
                                                       to_picture)


class Augmented(Dataset):
    """Random images, as random transforms would make them."""

    def __len__(self):
        return 9

    def __getitem__(self, index):
        draws = [index, random.random(), np.random.rand(),
                 torch.rand(()).item()]
        return dict(inputs=torch.tensor(draws), data_samples=None)


def test_batch_is_fixed_and_draws_from_no_global_generator():
    states = random.getstate(), np.random.get_state()[1], torch.get_rng_state()
    batch = fixed_batch(Augmented(), 3)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    assert [draws[0] for draws in batch['inputs']] == [0, 4, 8]
    torch.rand(3)
    again = fixed_batch(Augmented(), 3)
    for one, two in zip(batch['inputs'], again['inputs']):
        assert torch.equal(one, two)


@pytest.fixture
def hidden():
    return torch.tensor([[True, False], [False, False]])


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
