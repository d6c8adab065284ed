"""For mmseg, which this package imports nowhere else: a config names it."""
from typing import List, Sequence, Tuple

import torch
from mmengine.structures import InstanceData
from mmseg.models.decode_heads import Mask2FormerHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from .batched_mask2former_head import BatchedLosses, split_classes


@MODELS.register_module()
class BatchedMask2FormerHead(BatchedLosses, Mask2FormerHead):
    """mmseg's Mask2Former head with :class:`BatchedLosses`."""

    def _seg_data_to_instance_data(
        self, batch_data_samples: Sequence[SegDataSample]
    ) -> Tuple[List[InstanceData], List[dict]]:
        """Take the classes of all label maps as instances, with ``masks`` as
        bool (m, H, W); and what is known of the images."""
        maps = torch.cat([each.gt_sem_seg.data for each in batch_data_samples])
        instances = split_classes(maps, maps == self.ignore_index,
                                  self.num_classes)
        return instances, [each.metainfo for each in batch_data_samples]
