"""What a JEPA loss does not show, as numbers.

Every key starts with ``monitor/`` and none contains "loss": MMEngine sums
whatever has "loss" in its name into the objective.
"""
from typing import Dict

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
        Tensor: Between 1 (one direction) and C (isotropic), a scalar.
    """
    samples = features.float().permute(0, 2, 3, 1).flatten(0, 2)
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


@torch.no_grad()
def monitor_values(target_features: Tensor, mask_features: Tensor,
                   mask_logits: Tensor,
                   mask_weights: Tensor) -> Dict[str, Tensor]:
    """Collect what the training log shows beside the losses.

    Args:
        target_features (Tensor): Target F_last, (B, C, h, w).
        mask_features (Tensor): Online F_last, (B, C, h', w').
        mask_logits (Tensor): (B, N, h, w).
        mask_weights (Tensor): Alpha, (B, N, h, w).

    Returns:
        dict[str, Tensor]: Scalars:

        - ``monitor/target_std``, ``monitor/online_std``: 1 is isotropic, 0
          is collapsed.
        - ``monitor/target_rank``, ``monitor/online_rank``: effective rank.
        - ``monitor/mask_entropy``: of alpha over the queries, in nats; ln N
          means that every query sees everything.
        - ``monitor/logits_above_zero``: share of mask logits inside a mask.
        - ``monitor/places_covered``: share of places inside some mask.
        - ``monitor/queries_used``: share of queries that own a place.
    """
    above = mask_logits > 0
    owner = F.one_hot(mask_weights.argmax(1), mask_weights.shape[1])
    values = {
        'monitor/mask_entropy':
        torch.special.entr(mask_weights.float()).sum(1).mean(),
        'monitor/logits_above_zero': above.float().mean(),
        'monitor/places_covered': above.any(1).float().mean(),
        'monitor/queries_used': owner.amax((1, 2)).float().mean()
    }
    # Autocast would multiply the matrices in half precision.
    with torch.autocast(mask_features.device.type, enabled=False):
        for branch, features in dict(
                target=target_features, online=mask_features).items():
            values[f'monitor/{branch}_std'] = channel_std(features)
            values[f'monitor/{branch}_rank'] = effective_rank(features)
    return values
