from typing import Dict, List, NamedTuple

from mmdet.structures import SampleList
from torch import Tensor


class TargetPrediction(NamedTuple):
    """What one step predicts, and from what.

    Losses, health checks and pictures look at it. The grid, (h, w), is that
    of ``prediction_stride``; C are the channels of F_last, T those of the
    target, N the queries.

    Attributes:
        view (Tensor): The images in another light, (B, 3, H, W).
        noisy_image (Tensor): What the online encoder sees, (B, 3, H, W).
        hidden_on_grid (Tensor): True where the input was hidden, bool
            (B, 1, h, w).
        mask_features (Tensor): F_last of the online encoder, of the noisy
            images, (B, C, H/4, W/4).
        memory (list[Tensor]): F_1..F_L of the same, coarse to fine, nothing
            hidden, each (B, C_i, h_i, w_i).
        target_features (Tensor): The target's levels, of the clean images,
            without gradient: F_last, (B, C, H/4, W/4), where no others are
            chosen.
        target_on_grid (Tensor): The same on the grid, and centred where the
            model does so: what is to be predicted, (B, T, h, w).
        class_scores (list[Tensor]): Of each decoder layer, each
            (B, N, classes + 1).
        mask_logits (list[Tensor]): Of each decoder layer, each
            (B, N, H/4, W/4), or on the grid where no more was asked for.
        logits_on_grid (Tensor): Those of the last layer, (B, N, h, w).
        mask_weights (Tensor): Alpha, which sums to one over N,
            (B, N, h, w).
        prediction (Tensor): Of ``target_on_grid``, (B, T, h, w).
    """

    view: Tensor
    noisy_image: Tensor
    hidden_on_grid: Tensor
    mask_features: Tensor
    memory: List[Tensor]
    target_features: Tensor
    target_on_grid: Tensor
    class_scores: List[Tensor]
    mask_logits: List[Tensor]
    logits_on_grid: Tensor
    mask_weights: Tensor
    prediction: Tensor


def write_predictions(data_samples: SampleList, image: Tensor,
                      step: TargetPrediction, mask_features: Tensor,
                      memory: List[Tensor],
                      optional: Dict[str, Tensor]) -> SampleList:
    """Write into samples what a model sees and predicts.

    Each gets the fields

    - ``clean_image``, ``noisy_image`` and, if the model makes one,
      ``reconstruction``: (3, H, W), normalised.
    - ``hidden``: bool (h, w), True where the input was hidden.
    - ``mask_features``, F_last of the clean image by the online encoder,
      (C, H/4, W/4), ``memory``, F_1..F_3 by the same, each (C, h_i, w_i), and
      ``target_features``, the target's levels.
    - ``target_on_grid``, ``prediction``: (T, h, w).
    - ``mask_weights``: alpha, (N, h, w).
    - if the model has them, ``prototypes``: the prototype nearest to the
      target, int (h, w), and ``predicted_prototypes``: that which the head
      sees in the rest of the image, int (H/4, W/4).

    ``optional`` has the fields of what not every model has.
    """
    fields = dict(
        clean_image=image,
        noisy_image=step.noisy_image,
        hidden=step.hidden_on_grid.squeeze(1),
        mask_features=mask_features,
        target_features=step.target_features,
        target_on_grid=step.target_on_grid,
        prediction=step.prediction,
        mask_weights=step.mask_weights,
        **optional)
    for index, data_sample in enumerate(data_samples):
        for name, value in fields.items():
            data_sample.set_field(value[index], name)
        data_sample.set_field([level[index] for level in memory], 'memory')
    return data_samples
