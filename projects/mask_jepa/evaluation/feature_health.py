"""What a JEPA loss does not show, as numbers."""
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def effective_rank(features: Tensor) -> Tensor:
    """Measure how many directions the features really use.

    Exponential of the entropy of the normalised singular values (Roy and
    Vetterli, EUSIPCO 2007; RankMe of Garrido et al., ICML 2023), of the
    centred features.

    Args:
        features (Tensor): (B, C, h, w).

    Returns:
        Tensor: Between 1 (one direction) and C (isotropic), a scalar; NaN
        where a feature is not finite.
    """
    samples = features.float().permute(0, 2, 3, 1).flatten(0, 2)
    if not samples.isfinite().all():
        return samples.new_tensor(float('nan'))
    samples = samples - samples.mean(0)
    # Squared singular values; of C x C, where the features are many more.
    spectrum = torch.linalg.eigvalsh(samples.T @ samples).clamp(min=0).sqrt()
    share = spectrum / spectrum.sum().clamp(min=1e-12)
    return torch.special.entr(share).sum().exp()


def channel_std(features: Tensor) -> Tensor:
    r"""Measure the spread of L2-normalised features.

    Mean over channels of the standard deviation over places. Isotropic
    features give :math:`1 / \sqrt C`, collapsed ones zero (Chen and He,
    CVPR 2021, Sec. 4.1).

    Args:
        features (Tensor): (B, C, h, w).

    Returns:
        Tensor: A scalar, times :math:`\sqrt C`, so that 1 is isotropic.
    """
    samples = features.float().permute(0, 2, 3, 1).flatten(0, 2)
    std = F.normalize(samples, dim=1).std(0).mean()
    return std * samples.shape[1]**0.5


def mean_cosines(features: Tensor) -> Tuple[Tensor, Tensor]:
    """Measure how alike the features of two places are.

    Args:
        features (Tensor): (B, C, h, w), with more than one place.

    Returns:
        tuple[Tensor, Tensor]: Mean cosine of all pairs of places of one
        image, and of all pairs of places of two images (NaN for a single
        image), scalars in [-1, 1].
    """
    unit = F.normalize(features.float().flatten(2), dim=1)
    num_images, _, num_places = unit.shape
    # A sum over pairs is a product of sums.
    image_sums = unit.sum(2)
    within = image_sums.square().sum()
    between = image_sums.sum(0).square().sum() - within
    within_pairs = num_images * num_places * (num_places - 1)
    between_pairs = num_images * (num_images - 1) * num_places**2
    return ((within - num_images * num_places) / within_pairs,
            between / between_pairs)


def mean_norm(features: Tensor) -> Tensor:
    """Measure the length of the features.

    Args:
        features (Tensor): (B, C, h, w).

    Returns:
        Tensor: Mean L2 norm over the places, a scalar.
    """
    return features.float().norm(dim=1).mean()


def mask_entropy(mask_weights: Tensor) -> Tensor:
    """Measure how undecided the places are between the queries.

    Args:
        mask_weights (Tensor): Alpha, (B, N, h, w); sums to one over N.

    Returns:
        Tensor: Mean entropy over the places, in nats, a scalar: 0 where each
        has one query, ln N where every query sees everything alike.
    """
    return torch.special.entr(mask_weights.float()).sum(1).mean()


def used_share(mask_weights: Tensor) -> Tensor:
    """Measure how many queries own a place.

    Args:
        mask_weights (Tensor): Alpha, (B, N, h, w).

    Returns:
        Tensor: Mean over the images of the share of queries that are the
        strongest at some place, a scalar in [1 / N, 1].
    """
    owner = F.one_hot(mask_weights.argmax(1), mask_weights.shape[1])
    return owner.amax((1, 2)).float().mean()
