import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor


def prediction_error(prediction: Tensor,
                     target: Tensor,
                     beta: float = 1.0) -> Tensor:
    """Measure how far a prediction is off at each place.

    Args:
        prediction (Tensor): Predicted features, (..., C, h, w).
        target (Tensor): The target's features, (..., C, h, w).
        beta (float): As for :class:`JEPALoss`. Defaults to 1.0.

    Returns:
        Tensor: Smooth-L1 distance to the layer-normalised target, mean over
        the channels, float32 (..., h, w).
    """
    target = target.float().movedim(-3, -1)
    return F.smooth_l1_loss(
        prediction.float().movedim(-3, -1),
        F.layer_norm(target, target.shape[-1:]),
        beta=beta,
        reduction='none').mean(-1)


@MODELS.register_module()
class JEPALoss(nn.Module):
    """Smooth-L1 distance to the target's features at the hidden places.

    The paper's predictor "predicts features in the target pixel decoder"
    (Fig. 3). The target is layer-normalised over its channels without affine
    parameters, as in I-JEPA, so that its scale cannot shrink the loss.

    Args:
        beta (float): Where smooth-L1 turns from quadratic to linear, in units
            of the layer-normalised target. Defaults to 1.0.
        loss_weight (float): Weight of this loss. Defaults to 1.0.
    """

    def __init__(self, beta: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.loss_weight = loss_weight

    def forward(self, prediction: Tensor, target: Tensor,
                hidden: Tensor) -> Tensor:
        """Compare prediction and target, (B, C, h, w), at the places that are
        True in ``hidden``, bool (B, 1, h, w).

        Returns:
            Tensor: Weighted mean over hidden places and channels, a scalar;
            zero (with a gradient of zero) where nothing is hidden.
        """
        distance = prediction_error(prediction, target, self.beta)
        hidden = hidden.squeeze(1).to(distance)
        total = (distance * hidden).sum() / hidden.sum().clamp(min=1)
        return self.loss_weight * total
