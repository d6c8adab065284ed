import colorsys

import numpy as np
from torch import Tensor

GOLDEN_RATIO = (1 + 5**0.5) / 2
LIGHTNESS = (0.5, 0.35, 0.65)


def query_colours(num_queries: int) -> np.ndarray:
    """Choose one colour for each query; the mean of all is grey.

    Args:
        num_queries (int): Number of queries, N.

    Returns:
        np.ndarray: RGB in [0, 1], (N, 3). Steps of the golden ratio keep the
        hues of neighbours apart.
    """
    colours = np.array([
        colorsys.hls_to_rgb(index * GOLDEN_RATIO % 1,
                            LIGHTNESS[index % len(LIGHTNESS)], 1)
        for index in range(num_queries)
    ])
    return (colours - colours.mean(0) + 0.5).clip(0, 1)


def colour_query_masks(mask_weights: Tensor) -> np.ndarray:
    r"""Mix the colours of the queries at each place.

    A place that one query owns has its colour; one that many share is grey.

    Args:
        mask_weights (Tensor): :math:`\alpha`, (N, h, w), which sums to one
            over N.

    Returns:
        np.ndarray: RGB in [0, 1], (h, w, 3).
    """
    weights = mask_weights.float().permute(1, 2, 0).cpu().numpy()
    return (weights @ query_colours(weights.shape[-1])).clip(0, 1)
