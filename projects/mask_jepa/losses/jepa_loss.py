import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor


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
        """Compare in float32, whatever precision the network runs in.

        Args:
            prediction (Tensor): Predicted features, (B, C, h, w).
            target (Tensor): The target's features, (B, C, h, w).
            hidden (Tensor): True where the place was hidden, bool
                (B, 1, h, w).

        Returns:
            Tensor: Weighted mean over hidden places and channels, a scalar;
            zero (with a gradient of zero) where nothing is hidden.
        """
        channels_last = target.float().permute(0, 2, 3, 1)
        normalised = F.layer_norm(channels_last, channels_last.shape[-1:])
        distance = F.smooth_l1_loss(
            prediction.float().permute(0, 2, 3, 1),
            normalised,
            beta=self.beta,
            reduction='none').mean(-1)
        hidden = hidden.squeeze(1).to(distance)
        total = (distance * hidden).sum() / hidden.sum().clamp(min=1)
        return self.loss_weight * total
