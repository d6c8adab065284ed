from typing import Sequence

import numpy as np
from torch import Tensor

from .hidden_places import cover_hidden
from .sheet import draw_sheet
from .to_picture import to_picture


def draw_inputs(images: Tensor,
                hidden: Tensor,
                noisy_images: Tensor,
                mean: Tensor,
                std: Tensor,
                titles: Sequence[str],
                panel_size: int = 200) -> np.ndarray:
    """Show a batch as the model sees it, one image a row.

    Args:
        images (Tensor): Normalised clean images, (B, 3, H, W).
        hidden (Tensor): Bool, (B, 1, h, w).
        noisy_images (Tensor): What the online encoder sees, (B, 3, H, W).
        mean (Tensor): Of the data preprocessor, (3, 1, 1).
        std (Tensor): Of the data preprocessor, (3, 1, 1).
        titles (Sequence[str]): One for each image.
        panel_size (int): Longest side of a picture on the sheet, in pixels.
            Defaults to 200.

    Returns:
        np.ndarray: The sheet, RGB, uint8, (H, W, 3).
    """
    rows = []
    for image, places, noisy in zip(images, hidden[:, 0], noisy_images):
        clean = to_picture(image, mean, std)
        rows.append(
            [clean,
             cover_hidden(clean, places),
             to_picture(noisy, mean, std)])
    share = hidden.float().mean().item()
    columns = ['clean image', f'hidden places ({share:.0%})', 'noisy input']
    return draw_sheet(rows, columns, titles, panel_size)
