from typing import List, NamedTuple

from torch import Tensor


class TargetPrediction(NamedTuple):
    """What one step predicts, and from what.

    Losses, health checks and pictures look at it. The grid, (h, w), is that
    of ``prediction_stride``; C are the channels of F_last, N the queries.

    Attributes:
        view (Tensor): The images in another light, (B, 3, H, W).
        noisy_image (Tensor): What the online encoder sees, (B, 3, H, W).
        hidden_on_grid (Tensor): True where the input was hidden, bool
            (B, 1, h, w).
        mask_features (Tensor): F_last of the online encoder, of the noisy
            images, (B, C, H/4, W/4).
        memory (list[Tensor]): F_1..F_L of the same, coarse to fine, nothing
            hidden, each (B, C_i, h_i, w_i).
        target_mask_features (Tensor): F_last of the target encoder, of the
            clean images, without gradient, (B, C, H/4, W/4).
        target_on_grid (Tensor): The same on the grid, and centred where the
            model does so: what is to be predicted, (B, C, h, w).
        class_scores (list[Tensor]): Of each decoder layer, each
            (B, N, classes + 1).
        mask_logits (list[Tensor]): Of each decoder layer, each
            (B, N, H/4, W/4).
        logits_on_grid (Tensor): Those of the last layer, (B, N, h, w).
        mask_weights (Tensor): Alpha, which sums to one over N,
            (B, N, h, w).
        prediction (Tensor): Of ``target_on_grid``, (B, C, h, w).
    """

    view: Tensor
    noisy_image: Tensor
    hidden_on_grid: Tensor
    mask_features: Tensor
    memory: List[Tensor]
    target_mask_features: Tensor
    target_on_grid: Tensor
    class_scores: List[Tensor]
    mask_logits: List[Tensor]
    logits_on_grid: Tensor
    mask_weights: Tensor
    prediction: Tensor
