import textwrap
from typing import List, Optional, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP = 4  # pixels between panels
FONT_SIZE = 12  # pixels
LINE_HEIGHT = 15  # pixels
CHARACTER_WIDTH = 6.5  # pixels, about


def draw_sheet(rows: Sequence[Sequence[np.ndarray]],
               column_titles: Sequence[str],
               row_titles: Optional[Sequence[str]] = None,
               panel_size: int = 150) -> np.ndarray:
    """Arrange pictures in rows and columns with titles.

    Args:
        rows (Sequence[Sequence[np.ndarray]]): RGB in [0, 1], each (h, w, 3).
        column_titles (Sequence[str]): Above the columns.
        row_titles (Sequence[str], optional): Upright beside the rows.
            Defaults to None.
        panel_size (int): Longest side of a picture on the sheet, in pixels;
            places of small maps become squares. Defaults to 150.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).
    """
    panels = [[_fit(picture, panel_size) for picture in row] for row in rows]
    widths = [max(panel.width for panel in column) for column in zip(*panels)]
    heights = [max(panel.height for panel in row) for row in panels]
    above = [_title(*pair) for pair in zip(column_titles, widths)]
    beside = [
        _title(*pair).rotate(90, expand=True)
        for pair in zip(row_titles or [], heights)
    ]
    top = max(title.height for title in above) + GAP
    left = max((title.width for title in beside), default=0) + GAP
    sheet = Image.new('RGB', (left + sum(widths) + GAP * len(widths),
                              top + sum(heights) + GAP * len(heights)),
                      'white')
    lefts, tops = _starts(left, widths), _starts(top, heights)
    for title, x in zip(above, lefts):
        sheet.paste(title, (x, top - GAP - title.height))
    for title, y in zip(beside, tops):
        sheet.paste(title, (left - GAP - title.width, y))
    for row, y in zip(panels, tops):
        for panel, x in zip(row, lefts):
            sheet.paste(panel, (x, y))
    return np.array(sheet)


def _starts(first: int, lengths: Sequence[int]) -> List[int]:
    """Give the first pixel of each row or column."""
    return [
        first + sum(lengths[:index]) + GAP * index
        for index in range(len(lengths))
    ]


def _fit(picture: np.ndarray, size: int) -> Image.Image:
    """Scale a picture to the size of a panel."""
    image = Image.fromarray((picture * 255).round().astype(np.uint8))
    # It averages when it makes smaller, and repeats when it makes larger.
    return ImageOps.contain(image, (size, size), Image.Resampling.BOX)


def _title(text: str, width: int) -> Image.Image:
    """Write a text, broken into lines of a width."""
    lines = textwrap.wrap(text, max(int(width / CHARACTER_WIDTH), 1)) or ['']
    title = Image.new('RGB', (width, LINE_HEIGHT * len(lines)), 'white')
    canvas = ImageDraw.Draw(title)
    font = ImageFont.load_default(FONT_SIZE)
    for number, line in enumerate(lines):
        canvas.text((width / 2, (number + 0.5) * LINE_HEIGHT),
                    line,
                    fill='black',
                    font=font,
                    anchor='mm')
    return title
