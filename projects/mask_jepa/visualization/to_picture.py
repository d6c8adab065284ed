from typing import Sequence

import mmcv
import numpy as np
from torch import Tensor


def to_picture(image: Tensor, mean: Tensor, std: Tensor) -> np.ndarray:
    """Undo the normalisation.

    Args:
        image (Tensor): Normalised RGB, (3, H, W).
        mean (Tensor): Of the data preprocessor, (3, 1, 1).
        std (Tensor): Of the data preprocessor, (3, 1, 1).

    Returns:
        np.ndarray: RGB in [0, 1], (H, W, 3).
    """
    picture = (image * std + mean) / 255
    return picture.clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()


def shrink(picture: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Average the pixels of a picture over the places of a map.

    Args:
        picture (np.ndarray): RGB, (H, W, 3).
        shape (Sequence[int]): Height and width of the map.

    Returns:
        np.ndarray: RGB, (*shape, 3).
    """
    height, width = shape
    return mmcv.imresize(picture, (width, height), interpolation='area')
