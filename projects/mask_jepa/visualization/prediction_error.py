import matplotlib
import numpy as np
import torch.nn.functional as F
from torch import Tensor

# Predicting zero everywhere gives 0.42, the target having unit variance.
MAX_ERROR = 0.5


def prediction_error(prediction: Tensor, target: Tensor) -> np.ndarray:
    """Measure how far the prediction is off at each place (the JEPA loss).

    Args:
        prediction (Tensor): (C, h, w).
        target (Tensor): Features of the target, not yet normalised,
            (C, h, w).

    Returns:
        np.ndarray: Smooth-L1 to the target after layer normalisation, mean
        over the channels, (h, w).
    """
    target = target.float().permute(1, 2, 0)
    distance = F.smooth_l1_loss(
        prediction.float().permute(1, 2, 0),
        F.layer_norm(target, target.shape[-1:]),
        reduction='none')
    return distance.mean(-1).cpu().numpy()


def colour_error(error: np.ndarray) -> np.ndarray:
    """Colour errors from 0, dark, to ``MAX_ERROR`` and above, bright.

    Args:
        error (np.ndarray): (h, w).

    Returns:
        np.ndarray: RGB in [0, 1], (h, w, 3).
    """
    return matplotlib.colormaps['inferno'](error / MAX_ERROR)[..., :3]
