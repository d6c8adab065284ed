import textwrap
from itertools import accumulate, zip_longest
from typing import Optional, Sequence

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
        rows (Sequence[Sequence[np.ndarray]]): RGB in [0, 1], each (h, w, 3);
            the last row may be shorter.
        column_titles (Sequence[str]): Above the columns.
        row_titles (Sequence[str], optional): Upright beside the rows.
        panel_size (int): Longest side of a picture on the sheet, in pixels;
            places of small maps become squares.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).
    """
    panels = [[_fit(picture, panel_size) for picture in row] for row in rows]
    widths = [
        max(panel.width for panel in column if panel)
        for column in zip_longest(*panels)
    ]
    heights = [max(panel.height for panel in row) for row in panels]
    above = [_title(*pair) for pair in zip(column_titles, widths)]
    beside = [
        _title(*pair).rotate(90, expand=True)
        for pair in zip(row_titles or [], heights)
    ]
    left = max((title.width for title in beside), default=0)
    top = max(title.height for title in above)
    *lefts, right = accumulate(widths, _step, initial=left + GAP)
    *tops, bottom = accumulate(heights, _step, initial=top + GAP)
    sheet = Image.new('RGB', (right, bottom), 'white')
    for title, x in zip(above, lefts):
        sheet.paste(title, (x, top - title.height))
    for title, y in zip(beside, tops):
        sheet.paste(title, (left - title.width, y))
    for row, y in zip(panels, tops):
        for panel, x in zip(row, lefts):
            sheet.paste(panel, (x, y))
    return np.array(sheet)


def _step(start: int, length: int) -> int:
    """Go from the start of a row or column to that of the next one."""
    return start + length + GAP


def _fit(picture: np.ndarray, size: int) -> Image.Image:
    """Scale a picture to the size of a panel."""
    image = Image.fromarray((picture * 255).round().astype(np.uint8))
    # It averages when it makes smaller, and repeats when it makes larger.
    return ImageOps.contain(image, (size, size), Image.Resampling.BOX)


def _title(text: str, width: int) -> Image.Image:
    """Write a text, broken into lines of a width."""
    lines = textwrap.wrap(text, max(int(width / CHARACTER_WIDTH), 1)) or ['']
    title = Image.new('RGB', (width, LINE_HEIGHT * len(lines)), 'white')
    ImageDraw.Draw(title).multiline_text(
        (width / 2, title.height / 2),
        '\n'.join(lines),
        fill='black',
        font=ImageFont.load_default(FONT_SIZE),
        anchor='mm',
        align='center')
    return title
