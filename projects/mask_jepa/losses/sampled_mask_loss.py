from typing import Dict, List, Sequence, Tuple

import numpy as np
import torch
from mmcv.ops import point_sample
from mmdet.models.utils import get_uncertain_point_coords_with_randomness
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .matched_mask_loss import MatchedMaskLoss


class SampledMaskLoss(MatchedMaskLoss):
    """Mask2Former's losses with labels, for all images and layers at once.

    Formulas and distribution of the points are those of mmdet's
    ``Mask2FormerHead.loss_by_feat``, with the parts of its config: each image
    and layer is matched at points of its own, and each matched mask is
    compared at points of its own, most of them where its logits are near
    zero. Different are the order in which torch's global generator draws the
    points, and that the host waits once a step, for all costs, instead of
    seven times for each image and layer.

    Args:
        oversample_ratio (float): Points drawn for one that is kept, at
            least 1.
        importance_sample_ratio (float): Share of the points that are kept for
            their logits, in [0, 1].
        **kwargs: Of :class:`MatchedMaskLoss`, with ``num_points``.
    """

    def __init__(self, *args, oversample_ratio: float,
                 importance_sample_ratio: float, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.oversample_ratio = oversample_ratio
        self.importance_sample_ratio = importance_sample_ratio

    @classmethod
    def of_head(cls, head: nn.Module) -> 'SampledMaskLoss':
        """Take the parts of a Mask2Former head, with ``train_cfg``; a
        ValueError if they are not as those of mmdet's."""
        return super().of_head(
            head,
            oversample_ratio=head.oversample_ratio,
            importance_sample_ratio=head.importance_sample_ratio)

    def forward(self, class_scores: Sequence[Tensor],
                mask_logits: Sequence[Tensor],
                instances: Sequence[InstanceData]) -> Dict[str, Tensor]:
        """Match, and compare what was matched; in float32.

        Args:
            class_scores (Sequence[Tensor]): Of each layer, the last class
                for "no object", (B, N, K + 1).
            mask_logits (Sequence[Tensor]): Of each layer, (B, N, H', W').
            instances (Sequence[InstanceData]): Of each image, ``labels``,
                int64 (m, ), and ``masks``, zeros and ones, (m, H, W).

        Returns:
            dict[str, Tensor]: ``cls``, ``mask`` and ``dice``, each (L, ).

        Raises:
            ValueError: If a prediction is not finite.
        """
        counts = [len(each.labels) for each in instances]
        device = class_scores[0].device
        with torch.autocast(device.type, enabled=False):
            scores = torch.stack(list(class_scores)).float()
            masks = torch.cat([each.masks for each in instances])[:, None]
            masks = masks.float()
            costs = self._costs_at_points(scores, mask_logits, masks,
                                          instances)
            queries, matched, num_masks = self._assign(
                costs, np.split(np.arange(len(masks)), ends(counts)), device)
            at_points = map(self._at_points, mask_logits, queries,
                            (masks[each] for each in matched))
            classes = torch.cat([each.labels for each in instances])
            return self._compare(scores, classes, queries, matched, num_masks,
                                 *map(torch.cat, zip(*at_points)))

    @torch.no_grad()
    def _costs_at_points(
            self, scores: Tensor, mask_logits: Sequence[Tensor], masks: Tensor,
            instances: Sequence[InstanceData]) -> List[List[np.ndarray]]:
        """Compare all queries with the masks of their image, (T, 1, H, W) of
        all images; costs (N, m) of each layer and image."""
        counts = [len(each.labels) for each in instances]
        costs = [scores.new_zeros(scores.shape[2], 0)]
        for layer_scores, layer in zip(scores, mask_logits):
            points = torch.rand(
                len(counts), self.num_points, 2, device=masks.device)
            # One image at a time, as for more there may be no memory.
            for image, of_image in enumerate(masks.split(counts)):
                if not counts[image]:
                    continue
                logits, at_points = (
                    point_sample(maps.float(), points[image, None])[0]
                    for maps in (layer[image, None], of_image.transpose(0, 1)))
                costs.append(
                    self._cost(layer_scores[image], logits, at_points,
                               instances[image].labels))
        costs = torch.cat(costs, dim=1).cpu().numpy()
        costs = np.split(costs, ends(counts * len(scores)), axis=1)
        return [
            costs[first:first + len(counts)]
            for first in range(0, len(costs), len(counts))
        ]

    def _at_points(self, logits: Tensor, queries: Tensor,
                   masks: Tensor) -> Tuple[Tensor, Tensor]:
        """Draw points of the matched among a layer's logits (B, N, H', W');
        take them and their masks (T, 1, H, W) there, (T, P) each."""
        logits = logits.flatten(0, 1).index_select(0, queries)
        logits = logits[:, None].float()
        with torch.no_grad():
            points = get_uncertain_point_coords_with_randomness(
                logits, None, self.num_points, self.oversample_ratio,
                self.importance_sample_ratio)
            targets = point_sample(masks, points)
        return point_sample(logits, points)[:, 0], targets[:, 0]


def ends(counts: Sequence[int]) -> np.ndarray:
    """Where each part but the last ends."""
    return np.cumsum(counts)[:-1]
