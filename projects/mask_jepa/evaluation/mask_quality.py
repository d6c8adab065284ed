from typing import Dict, List

import numpy as np
from pycocotools import mask as coco_mask

# Of COCO's average recall.
THRESHOLDS = np.linspace(0.5, 0.95, 10)


class MaskQuality:
    """How well proposed masks, without classes or scores, cover objects."""

    def __init__(self) -> None:
        self.best: List[np.ndarray] = []  # IoU of each object's best mask
        self.num_masks = 0
        self.num_good = 0  # masks that fit an object

    def add(self, masks: np.ndarray, objects: np.ndarray) -> None:
        """Compare the masks of an image, bool (M, H, W), with its objects,
        bool (N, H, W)."""
        self.num_masks += len(masks)
        iou = np.zeros((len(masks), len(objects)))
        if iou.size:
            iou = coco_mask.iou(
                _encode(masks), _encode(objects), [False] * len(objects))
        self.best.append(iou.max(0, initial=0))
        self.num_good += int((iou.max(1, initial=0) > 0.5).sum())

    def summary(self) -> Dict[str, float]:
        """Summarise.

        Returns:
            dict[str, float]: ``mean_best_iou``; ``recall``, the share of
            objects with a mask of IoU above 0.5; ``average_recall``, its mean
            at the thresholds of COCO; ``precision``, the share of masks that
            fit an object; all in [0, 1]. And ``masks_per_image``.

        Raises:
            ValueError: If no image had an object.
        """
        best = np.concatenate(self.best or [[]])
        if not len(best):
            raise ValueError('No image has an object to compare with: choose '
                             'other images, or a smaller least area.')
        recalls = (best[:, None] > THRESHOLDS).mean(0)
        return dict(
            mean_best_iou=float(best.mean()),
            recall=float(recalls[0]),
            average_recall=float(recalls.mean()),
            precision=self.num_good / max(self.num_masks, 1),
            masks_per_image=self.num_masks / len(self.best))


def _encode(masks: np.ndarray) -> List[dict]:
    return coco_mask.encode(
        np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
