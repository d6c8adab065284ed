from typing import Dict

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import MaskJEPA, TargetPrediction
from ..models.block_masking import resize_mask
from ..utils import evaluating
from .feature_health import (channel_std, effective_rank, mask_entropy,
                             mean_cosines, mean_norm, used_share)


@torch.no_grad()
def check_health(model: MaskJEPA, image: Tensor) -> Dict[str, float]:
    """Measure the state of a pretraining on a batch of images.

    In eval mode, in which :class:`StepRandom` stands still, so the training
    goes on as if nothing had been measured.

    Args:
        model (MaskJEPA): Left in the mode that it was in.
        image (Tensor): Normalised clean images, (B, 3, H, W).

    Returns:
        dict[str, float]: For the ``target`` (F_last of the clean images, on
        the grid of the prediction, not centred) and ``online`` (F_last of
        the noisy ones):

        - ``..._std``: :func:`channel_std`; 1 is isotropic, 0 collapsed.
        - ``..._rank``: :func:`effective_rank`, between 1 and C.
        - ``..._cosine_within``, ``..._cosine_between``:
          :func:`mean_cosines`.
        - ``..._norm``: :func:`mean_norm`.

        and of the masks and the prediction:

        - ``mask_entropy``: :func:`mask_entropy`, in nats.
        - ``queries_used``: :func:`used_share`.
        - ``logits_above_zero``: share of mask logits inside a mask.
        - ``places_covered``: share of places inside some mask.
        - ``leak``: :func:`prediction_leak`.
    """
    with evaluating(model):
        step = model.predict_target(image)
        leak = prediction_leak(model, image, step)
    values = dict(leak=leak)
    # Not centred: of a constant target, centring would leave some noise, of
    # which spread and rank are full.
    target = F.adaptive_avg_pool2d(step.target_mask_features,
                                   step.prediction.shape[-2:])
    for branch, features in dict(
            target=target, online=step.mask_features).items():
        within, between = mean_cosines(features)
        values[f'{branch}_std'] = channel_std(features)
        values[f'{branch}_rank'] = effective_rank(features)
        values[f'{branch}_cosine_within'] = within
        values[f'{branch}_cosine_between'] = between
        values[f'{branch}_norm'] = mean_norm(features)
    inside = step.logits_on_grid > 0
    values['mask_entropy'] = mask_entropy(step.mask_weights)
    values['queries_used'] = used_share(step.mask_weights)
    values['logits_above_zero'] = inside.float().mean()
    values['places_covered'] = inside.any(1).float().mean()
    return {name: float(value) for name, value in values.items()}


def prediction_leak(model: MaskJEPA, image: Tensor,
                    step: TargetPrediction) -> Tensor:
    """Measure whether the prediction sees what it shall predict.

    The hidden places of each image are filled with another image, with the
    same noise, masks and queries. A prediction that was made from the rest
    alone stays the same, bit for bit.

    Args:
        model (MaskJEPA): In eval mode, in which every call draws the same.
        image (Tensor): Normalised clean images, (B, 3, H, W).
        step (TargetPrediction): ``model.predict_target(image)``.

    Returns:
        Tensor: Root mean square of the change at the hidden places, relative
        to the spread of the prediction there; 0 is none, a scalar.
    """
    hidden = step.hidden_on_grid
    if not hidden.any():
        return image.new_zeros(())
    # Turned over, since a batch may hold a single image.
    other = image.roll(1, dims=0).flip(-1)
    hidden_pixels = resize_mask(hidden, image.shape[-2:])
    changed = model.predict_target(torch.where(hidden_pixels, other, image))
    places = hidden.squeeze(1)
    before = step.prediction.float().movedim(1, -1)[places]
    after = changed.prediction.float().movedim(1, -1)[places]
    spread = (before - before.mean(0)).square().mean().sqrt()
    return (after - before).square().mean().sqrt() / spread.clamp(min=1e-12)
