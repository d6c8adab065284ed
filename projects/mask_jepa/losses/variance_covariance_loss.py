from typing import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class VarianceCovarianceLoss(nn.Module):
    """Keep every channel alive and the channels decorrelated.

    A plain JEPA loss lets the rank of the features fall. Following VICReg
    (Bardes et al., ICLR 2022, Eq. 1 and 3) and C-JEPA, the standard deviation
    of each channel is hinged at ``target_std`` and the squared off-diagonal
    covariance is punished; both are taken over all places of all images.

    Args:
        target_std (float): Standard deviation below which a channel is
            punished. Defaults to 1.0.
        covariance_weight (float): Weight of the covariance term against the
            variance term. Defaults to 1.0.
        loss_weight (float): Weight of this loss. Defaults to 0.1.
    """

    def __init__(self,
                 target_std: float = 1.0,
                 covariance_weight: float = 1.0,
                 loss_weight: float = 0.1) -> None:
        super().__init__()
        self.target_std = target_std
        self.covariance_weight = covariance_weight
        self.loss_weight = loss_weight

    def forward(self, feature_maps: Sequence[Tensor]) -> Tensor:
        """Take the weighted mean over feature maps, each (B, C, h, w) with B *
        h * w > 1, in float32."""
        # Autocast would multiply the matrices in half precision.
        with torch.autocast(feature_maps[0].device.type, enabled=False):
            terms = [self._single_map(features) for features in feature_maps]
        return self.loss_weight * torch.stack(terms).mean()

    def _single_map(self, features: Tensor) -> Tensor:
        samples = features.float().permute(0, 2, 3, 1).flatten(0, 2)
        samples = samples - samples.mean(0)
        covariance = samples.T @ samples / (len(samples) - 1)
        # The small constant keeps the gradient of the root finite at zero.
        std = (covariance.diagonal() + 1e-4).sqrt()
        variance_term = F.relu(self.target_std - std).mean()
        squared = covariance.square()
        off_diagonal = squared.sum() - squared.diagonal().sum()
        covariance_term = off_diagonal / samples.shape[1]
        return variance_term + self.covariance_weight * covariance_term
