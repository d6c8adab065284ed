"""Images, hidden places and sheets of panels."""
import random

import numpy as np
import pytest
import torch
from scenes_and_globals import numpy_state
from torch.utils.data import Dataset

from mask_jepa.visualization import draw_sheet, fixed_batch
from mask_jepa.visualization.pictures import (OUTLINE, cover_hidden,
                                              outline_hidden, to_picture)
from mask_jepa.visualization.sheet import GAP

# Images and hidden places.


class Augmented(Dataset):
    """Random images, as random transforms would make them."""

    def __len__(self):
        return 9

    def __getitem__(self, index):
        draws = [index, random.random(), np.random.rand(),
                 torch.rand(()).item()]
        return dict(inputs=torch.tensor(draws), data_samples=None)


def test_batch_is_fixed_and_draws_from_no_global_generator():
    states = random.getstate(), numpy_state(), torch.get_rng_state()
    batch = fixed_batch(Augmented(), 3)
    assert random.getstate() == states[0]
    assert numpy_state() == states[1]
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


# Panels on one sheet.


def plain(colour, height, width):
    return np.full((height, width, 3), colour, dtype=float)


def test_panels_lie_in_rows_and_columns():
    colours = np.arange(1, 7).reshape(2, 3) / 10
    rows = [[plain(colour, 8, 8) for colour in row] for row in colours]
    sheet = draw_sheet(rows, ['a', 'b', 'c'], panel_size=40)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 3 * (40 + GAP) + GAP
    top = sheet.shape[0] - 2 * (40 + GAP)
    for row in range(2):
        for column in range(3):
            y, x = top + row * (40 + GAP), GAP + column * (40 + GAP)
            panel = sheet[y:y + 40, x:x + 40]
            assert (panel == round(colours[row, column] * 255)).all()
    assert (sheet[:top] < 128).any()  # the titles


def test_small_maps_become_squares_and_formats_stay():
    ramp = np.linspace(0, 1, 6).reshape(2, 3, 1).repeat(3, 2)
    sheet = draw_sheet([[ramp, plain(0.5, 300, 100)]], ['', ''],
                       panel_size=60)
    top = sheet.shape[0] - 60 - GAP
    squares = sheet[top:top + 40, GAP:GAP + 60, 0].reshape(2, 20, 3, 20)
    assert (squares == squares[:, :1, :, :1]).all()
    assert np.array_equal(squares[:, 0, :, 0],
                          (ramp[..., 0] * 255).round().astype(int))
    # The tall one is as high as the panel, and a third as wide.
    assert sheet.shape[1] == GAP + 60 + GAP + 20 + GAP


def test_long_titles_are_broken_and_rows_are_named():
    rows = [[plain(1, 8, 8)], [plain(1, 8, 8)]]
    short = draw_sheet(rows, ['title'], panel_size=60)
    long = draw_sheet(rows, ['a very long title indeed'], panel_size=60)
    assert long.shape[0] > short.shape[0]
    assert long.shape[1] == short.shape[1]
    named = draw_sheet(rows, ['title'], ['one', ''], panel_size=60)
    beside = named[:, :named.shape[1] - short.shape[1]]
    first, second = beside[-2 * (60 + GAP):-60 - GAP], beside[-60 - GAP:]
    assert (first < 128).any() and (second == 255).all()


def test_last_row_may_be_short():
    pictures = [plain(0, 8, 8), plain(0, 8, 4), plain(0, 8, 8)]
    sheet = draw_sheet([pictures[:2], pictures[2:]], ['', ''], panel_size=40)
    assert sheet.shape[1] == GAP + 40 + GAP + 20 + GAP
    last = sheet[-40 - GAP:-GAP]
    assert (last[:, GAP:GAP + 40] == 0).all()
    assert (last[:, GAP + 40:] == 255).all()
