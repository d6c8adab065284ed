import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ReconstructionLoss(nn.Module):
    """Mean squared error to the clean image, in normalised pixels.

    The paper predicts "the original image x" from the noisy one (Fig. 3), so
    this is the denoising objective wherever noise was added.

    Args:
        loss_weight (float): Weight of this loss. Defaults to 1.0.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Compare images, (B, 3, H, W), in float32, also under autocast."""
        error = F.mse_loss(reconstruction.float(), image.float())
        return self.loss_weight * error
