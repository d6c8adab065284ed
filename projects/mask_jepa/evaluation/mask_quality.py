from typing import Dict, List

import torch
from torch import Tensor

# Of COCO's average recall.
THRESHOLDS = [0.5 + 0.05 * step for step in range(10)]


class MaskQuality:
    """How well proposed masks, without classes or scores, cover objects."""

    def __init__(self) -> None:
        self.best: List[Tensor] = []  # IoU of each object's best mask
        self.num_images = 0
        self.num_masks = 0
        self.num_good = 0  # masks that fit an object

    def add(self, masks: Tensor, objects: Tensor) -> None:
        """Compare the masks of an image, bool (M, H, W), with its objects,
        bool (N, H, W)."""
        self.num_images += 1
        self.num_masks += len(masks)
        iou = pairwise_iou(objects, masks)
        if not len(masks):
            iou = iou.new_zeros(len(objects), 1)
        self.best.append(iou.amax(1))
        if len(objects):
            self.num_good += int((iou.amax(0) > 0.5).sum())

    def summary(self) -> Dict[str, float]:
        """Summarise.

        Returns:
            dict[str, float]: ``mean_best_iou``; ``recall``, the share of
            objects with a mask of IoU above 0.5; ``average_recall``, its mean
            at the thresholds of COCO; ``precision``, the share of masks that
            fit an object; all in [0, 1]. And ``masks_per_image``.
        """
        best = torch.cat(self.best)
        recalls = [(best > threshold).float().mean()
                   for threshold in THRESHOLDS]
        return dict(
            mean_best_iou=float(best.mean()),
            recall=float(recalls[0]),
            average_recall=float(sum(recalls) / len(recalls)),
            precision=self.num_good / max(self.num_masks, 1),
            masks_per_image=self.num_masks / self.num_images)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each pair of masks, bool (N, H, W) and
    (M, H, W): (N, M); zero where both are empty."""
    first, second = first.flatten(1).float(), second.flatten(1).float()
    both = first @ second.T
    union = first.sum(1)[:, None] + second.sum(1) - both
    return both / union.clamp(min=1)
