import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class MaskLevelLoss(nn.Module):
    r"""Give the mask logits the level that they have downstream.

    Softmax over the queries does not see the common level of the logits at a
    place, yet downstream a logit above zero (:math:`\sigma > 0.5`) means
    "inside the mask". This loss fixes that level (ours; the paper is silent):
    zero shall lie midway between the strongest logit at a place, l, and the
    average of all queries there, a. With the middle m = (l + a) / 2 and half
    their distance d = (l - a) / 2,

    .. math:: L = \frac{m^2}{m^2 + d^2}

    is below one half where the strongest query is above zero and the average
    one below. Measured against d, the level cannot be mended by shrinking
    all logits to zero, which would make all queries alike.

    Args:
        loss_weight (float): Weight of this loss; a large one lets a single
            query own the whole image. Defaults to 0.1.
    """

    def __init__(self, loss_weight: float = 0.1) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, mask_logits: Tensor) -> Tensor:
        """Measure how far the level of mask logits, (B, N, h, w) with N > 1,
        is from where it belongs; in float32, and [0, 1] before weighting."""
        mask_logits = mask_logits.float()
        strongest = mask_logits.amax(dim=1)
        average = mask_logits.mean(dim=1)
        middle = ((strongest + average) / 2).square()
        distance = ((strongest - average) / 2).square() + 1e-6
        return self.loss_weight * (middle / (middle + distance)).mean()
