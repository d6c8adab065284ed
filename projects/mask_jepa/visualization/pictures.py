from typing import List, Sequence

import mmcv
import numpy as np
from mmengine.dataset import BaseDataset, pseudo_collate
from scipy.ndimage import binary_erosion
from torch import Tensor

from ..models.block_masking import resize_mask
from ..utils import evenly_spread, fixed_seed

GREY = 0.5
OUTLINE = np.array([0.0, 1.0, 1.0])  # cyan, not in the error's colours


def fixed_batch(dataset: BaseDataset, num_images: int) -> dict:
    """Load images, evenly spread over a dataset, the same at every call.

    Its pipeline ends in ``PackDetInputs``. The global random generators are
    left as they were.
    """
    with fixed_seed(0):
        return pseudo_collate([
            dataset[index]
            for index in evenly_spread(len(dataset), num_images)
        ])


def to_picture(image: Tensor, mean: Tensor, std: Tensor) -> np.ndarray:
    """Undo the normalisation.

    Args:
        image (Tensor): Normalised: RGB, (3, H, W), or of other channels, of
            which the first three are shown as BGR, or the first as grey.
        mean (Tensor): Of the data preprocessor, (3, 1, 1), like ``std``.

    Returns:
        np.ndarray: RGB in [0, 1], (H, W, 3).
    """
    picture = (image * std + mean) / 255
    if len(picture) < 3:
        picture = picture[:1].expand(3, -1, -1)
    elif len(picture) > 3:
        picture = picture[:3].flip(0)
    return picture.clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()


def shrink(picture: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Average the pixels of a picture, (H, W, 3), over the places of a map."""
    height, width = shape
    return mmcv.imresize(picture, (width, height), interpolation='area')


def split_places(values: np.ndarray,
                 shapes: Sequence[Sequence[int]]) -> List[np.ndarray]:
    """Split values of the places of all maps into maps, (h_i, w_i, ...)."""
    ends = np.cumsum([height * width for height, width in shapes])
    return [
        part.reshape(*shape, *values.shape[1:])
        for part, shape in zip(np.split(values, ends[:-1]), shapes)
    ]


def cover_hidden(picture: np.ndarray, hidden: Tensor) -> np.ndarray:
    """Paint the hidden places, bool (h, w), of a picture grey."""
    pixels = _hidden_pixels(picture, hidden)
    return np.where(pixels[..., None], GREY, picture)


def outline_hidden(picture: np.ndarray, hidden: Tensor) -> np.ndarray:
    """Draw a line just inside the border of the hidden places, bool (h, w).

    The picture is RGB in [0, 1], (H, W, 3).
    """
    pixels = _hidden_pixels(picture, hidden)
    width = max(1, round(min(pixels.shape) / 100))
    inside = binary_erosion(pixels, iterations=width)
    return np.where((pixels & ~inside)[..., None], OUTLINE, picture)


def _hidden_pixels(picture: np.ndarray, hidden: Tensor) -> np.ndarray:
    """Bring hidden places, (h, w), to the pixels of a picture, (H, W)."""
    pixels = resize_mask(hidden[None, None].cpu(), picture.shape[:2])
    return pixels[0, 0].numpy()
