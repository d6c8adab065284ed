from typing import Dict, List, Optional, Sequence

import numpy as np
import torch
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from ..losses import SampledMaskLoss
from .deformable_pixel_decoder import DeformablePixelDecoder


class BatchedLosses:
    """For a Mask2Former head whose training hardly makes a GPU wait.

    To be named before the head's class. Arguments, weights, predictions and
    losses stay the head's, with their names. The losses are computed by
    :class:`SampledMaskLoss`, and the pixel decoder of mmdet becomes a
    :class:`DeformablePixelDecoder`, which knows bfloat16.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        DeformablePixelDecoder.adopt(self.pixel_decoder)
        if self.train_cfg:
            self.matched_losses = SampledMaskLoss.of_head(self)

    def loss_by_feat(self, all_cls_scores: Sequence[Tensor],
                     all_mask_preds: Sequence[Tensor],
                     batch_gt_instances: Sequence[InstanceData],
                     batch_img_metas: Sequence[dict]) -> Dict[str, Tensor]:
        """Take the losses of all layers, named and in order as in mmdet."""
        losses = self.matched_losses(all_cls_scores, all_mask_preds,
                                     batch_gt_instances)
        inner = range(len(all_cls_scores) - 1)
        layers = {'': -1, **{f'd{layer}.': layer for layer in inner}}
        return {
            f'{prefix}loss_{kind}': values[layer]
            for prefix, layer in layers.items()
            for kind, values in losses.items()
        }


@MODELS.register_module()
class BatchedMask2FormerHead(BatchedLosses, Mask2FormerHead):
    """mmdet's Mask2Former head, for instances and panoptic segmentation, with
    :class:`BatchedLosses`."""

    def preprocess_gt(
        self, batch_gt_instances: Sequence[InstanceData],
        batch_gt_semantic_segs: Sequence[Optional[PixelData]]
    ) -> List[InstanceData]:
        """Take the labels of all images, with ``masks`` as bool (m, H, W); of
        stuff, too, where there are semantic maps."""
        device = batch_gt_instances[0].labels.device
        masks = [each.masks.to_ndarray() for each in batch_gt_instances]
        things = torch.from_numpy(np.concatenate(masks)).to(device).bool()
        things = [
            InstanceData(labels=each.labels, masks=masks)
            for each, masks in zip(batch_gt_instances,
                                   things.split([*map(len, masks)]))
        ]
        if all(each is None for each in batch_gt_semantic_segs):
            return things
        maps = torch.cat([each.sem_seg for each in batch_gt_semantic_segs])
        no_stuff = (maps < self.num_things_classes) | (
            maps >= self.num_classes)
        stuff = split_classes(maps, no_stuff, self.num_classes)
        return [InstanceData.cat(parts) for parts in zip(things, stuff)]


def split_classes(maps: Tensor, ignored: Tensor,
                  num_classes: int) -> List[InstanceData]:
    """Take label maps apart into one mask for each class that is in them.

    The host waits once, for which classes these are.

    Args:
        maps (Tensor): Labels from 0 on, any integers, (B, H, W).
        ignored (Tensor): Places that count for nothing, bool (B, H, W).
        num_classes (int): Classes that there are.

    Returns:
        list[InstanceData]: Of each image, ``labels``, int64 (m, ), and
        ``masks``, bool (m, H, W).

    Raises:
        ValueError: If a place that counts has a higher label.
    """
    maps = maps.long().clamp(max=num_classes)
    maps = maps.masked_fill(ignored, num_classes + 1)
    found = maps.new_zeros(len(maps), num_classes + 2, dtype=torch.bool)
    found = found.scatter_(1, maps.flatten(1), True).cpu().numpy()
    if found[:, num_classes].any():
        raise ValueError(
            f'A label map has labels beyond the {num_classes} classes of the '
            'model: set num_classes of the head, or reduce_zero_label or '
            'ignore_index as the data set needs them.')
    classes = [np.flatnonzero(row) for row in found[:, :num_classes]]
    labels = torch.from_numpy(np.concatenate(classes)).to(maps.device)
    return [
        InstanceData(
            labels=each, masks=labels_of_image == each[:, None, None])
        for labels_of_image, each in zip(maps,
                                         labels.split([*map(len, classes)]))
    ]
