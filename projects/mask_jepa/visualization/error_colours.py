import matplotlib
import numpy as np

# Of the JEPA loss at a place. Predicting zero everywhere gives 0.42, since the
# normalised target has unit variance.
MAX_ERROR = 0.5


def colour_error(error: np.ndarray) -> np.ndarray:
    """Colour errors from 0, dark, to ``MAX_ERROR`` and above, bright.

    Args:
        error (np.ndarray): (h, w).

    Returns:
        np.ndarray: RGB in [0, 1], (h, w, 3).
    """
    return matplotlib.colormaps['inferno'](error / MAX_ERROR)[..., :3]
