import numpy as np

from projects.mask_jepa.visualization import draw_sheet
from projects.mask_jepa.visualization.sheet import GAP


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
