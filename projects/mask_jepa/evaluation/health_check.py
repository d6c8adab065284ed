"""What a JEPA loss does not show, as numbers."""
from typing import Dict, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import MaskJEPA, TargetPrediction
from ..models.block_masking import resize_mask
from ..utils import evaluating


@torch.no_grad()
def check_health(model: MaskJEPA, image: Tensor) -> Dict[str, float]:
    """Measure the state of a pretraining on a batch of images.

    In eval mode, in which :class:`StepRandom` stands still, so the training
    goes on as if nothing had been measured.

    Args:
        model (MaskJEPA): Left in the mode that it was in.
        image (Tensor): Normalised clean images, (B, 3, H, W).

    Returns:
        dict[str, float]: For the ``target`` (its levels of the clean images,
        on the grid of the prediction, not centred) and ``online`` (F_last of
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
    target = F.adaptive_avg_pool2d(step.target_features,
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


def effective_rank(features: Tensor) -> Tensor:
    """Count the directions that features, (B, C, h, w), really use.

    Exponential of the entropy of the normalised singular values (Roy and
    Vetterli, EUSIPCO 2007; RankMe of Garrido et al., ICML 2023), of the
    centred features: a scalar between 1 (one direction) and C (isotropic);
    NaN where a feature is not finite.
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
    r"""Measure the spread of L2-normalised features, (B, C, h, w).

    Mean over channels of the standard deviation over places, times
    :math:`\sqrt C`: a scalar, 1 for isotropic features and 0 for collapsed
    ones (Chen and He, CVPR 2021, Sec. 4.1).
    """
    samples = features.float().permute(0, 2, 3, 1).flatten(0, 2)
    std = F.normalize(samples, dim=1).std(0).mean()
    return std * samples.shape[1]**0.5


def mean_cosines(features: Tensor) -> Tuple[Tensor, Tensor]:
    """Measure how alike the features, (B, C, h, w), of two places are.

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
    """Average the L2 norm of features, (B, C, h, w), over the places."""
    return features.float().norm(dim=1).mean()


def mask_entropy(mask_weights: Tensor) -> Tensor:
    """Measure how undecided the places are between the queries.

    Mean entropy over the places, in nats, of alpha, (B, N, h, w), which sums
    to one over N: 0 where each place has one query, ln N where every query
    sees everything alike.
    """
    return torch.special.entr(mask_weights.float()).sum(1).mean()


def used_share(mask_weights: Tensor) -> Tensor:
    """Measure the share of queries that own a place, in [1 / N, 1].

    They are the strongest of alpha, (B, N, h, w), at some place of an image.
    """
    owner = F.one_hot(mask_weights.argmax(1), mask_weights.shape[1])
    return owner.amax((1, 2)).float().mean()
