import numpy as np
from scipy.ndimage import binary_erosion
from torch import Tensor

from ..models.block_masking import resize_mask

GREY = 0.5
OUTLINE = np.array([0.0, 1.0, 1.0])  # cyan, not in the error's colours


def hidden_pixels(hidden: Tensor, picture: np.ndarray) -> np.ndarray:
    """Bring the hidden places to the pixels of a picture.

    Args:
        hidden (Tensor): Bool, (h, w).
        picture (np.ndarray): RGB, (H, W, 3), a multiple of h and w.

    Returns:
        np.ndarray: Bool, (H, W).
    """
    pixels = resize_mask(hidden[None, None].cpu(), picture.shape[:2])
    return pixels[0, 0].numpy()


def cover_hidden(picture: np.ndarray, hidden: Tensor) -> np.ndarray:
    """Paint the hidden places grey.

    Args:
        picture (np.ndarray): RGB in [0, 1], (H, W, 3).
        hidden (Tensor): Bool, (h, w).

    Returns:
        np.ndarray: RGB in [0, 1], (H, W, 3).
    """
    pixels = hidden_pixels(hidden, picture)
    return np.where(pixels[..., None], GREY, picture)


def outline_hidden(picture: np.ndarray, hidden: Tensor) -> np.ndarray:
    """Draw a line just inside the border of the hidden places.

    Args:
        picture (np.ndarray): RGB in [0, 1], (H, W, 3).
        hidden (Tensor): Bool, (h, w).

    Returns:
        np.ndarray: RGB in [0, 1], (H, W, 3).
    """
    pixels = hidden_pixels(hidden, picture)
    width = max(1, round(min(pixels.shape) / 100))
    inside = binary_erosion(pixels, iterations=width)
    return np.where((pixels & ~inside)[..., None], OUTLINE, picture)
