from typing import Tuple

import torch
import torch.nn as nn
from torch import Tensor

from ..utils import require_share
from .step_random import randn


class InputNoise(nn.Module):
    r"""Gaussian noise on the online branch's image.

    .. math:: x' = \sqrt{\gamma} \, x + \sqrt{1 - \gamma} \, \epsilon,
              \quad \epsilon \sim N(0, I)

    The paper adds Gaussian noise; this scaled form, and a second
    :math:`\gamma` for the places that the feature mask hides, are ours. With
    ``masked_gamma=0`` the hidden places hold pure noise, so that their
    content cannot reach the prediction through the unmasked mask features.
    ``masked_gamma=gamma`` is the literal reading of the paper.

    With ``per_image`` the noise has the spread :math:`\sigma_x` of the image
    itself, and the image keeps its mean, :math:`\bar x`, both of its visible
    places, so that nothing tells of the others:

    .. math:: x' = \bar x + \sqrt{\gamma} \, (x - \bar x)
              + \sqrt{1 - \gamma} \, \sigma_x \epsilon

    Unit noise fits photographs that are normalised by the statistics of
    photographs. Of a dark field of cells, whose pixels vary by a tenth of
    that, it leaves nothing to be seen.

    Args:
        gamma (float): Share of the image's variance at visible places, in
            [0, 1]; 1 adds no noise. Defaults to 0.7.
        masked_gamma (float): The same at hidden places. Defaults to 0.0.
        per_image (bool): Measure the noise in standard deviations of the
            image rather than of normalised images. Defaults to False.

    Raises:
        ValueError: If a share lies outside [0, 1].
    """

    def __init__(self,
                 gamma: float = 0.7,
                 masked_gamma: float = 0.0,
                 per_image: bool = False) -> None:
        super().__init__()
        require_share('model.noise.gamma', gamma)
        require_share('model.noise.masked_gamma', masked_gamma)
        self.gamma = gamma
        self.masked_gamma = masked_gamma
        self.per_image = per_image

    def forward(self, image: Tensor, hidden: Tensor,
                generator: torch.Generator) -> Tensor:
        """Add noise to images, (B, 3, H, W); ``hidden`` is True at hidden
        pixels, bool (B, 1, H, W)."""
        share = torch.full_like(image[:, :1], self.gamma)
        share = share.masked_fill(hidden, self.masked_gamma)
        noise = randn(image, generator)
        mean = 0.0
        if self.per_image:
            spread, mean = std_mean(image, ~hidden)
            noise = spread * noise
        return (mean + share.sqrt() * (image - mean) +
                (1 - share).sqrt() * noise)


def std_mean(image: Tensor, chosen: Tensor) -> Tuple[Tensor, Tensor]:
    """Measure spread and mean of images, (B, C, H, W), over the pixels where
    ``chosen``, bool (B, 1, H, W), is True: both (B, 1, 1, 1), and zero where
    there is none."""

    # torch.masked would let a GPU wait for its host, three times.
    def average(values: Tensor) -> Tensor:
        return (values * chosen).sum((1, 2, 3), keepdim=True) / count

    count = image.shape[1] * chosen.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = average(image)
    return average((image - mean).square()).sqrt(), mean
