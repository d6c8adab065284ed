from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.models.losses import CrossEntropyLoss
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment
from torch import Tensor


class MaskLabels(NamedTuple):
    """Masks with a class, equally many for each image, so that some are none.

    Attributes:
        classes (Tensor): Class of each mask, int64 in [0, K), (B, M).
        masks (Tensor): Zeros and ones, float (B, M, h, w).
        present (Tensor): False for what only fills up, bool (B, M).
    """

    classes: Tensor
    masks: Tensor
    present: Tensor

    def instances(self) -> List[InstanceData]:
        """As from a data set; on a GPU, the host waits for each image.

        ``labels`` (m, ) and ``masks`` (m, h, w) of each image are int64.
        """
        return [
            InstanceData(labels=classes[present], masks=masks[present].long())
            for classes, masks, present in zip(*self)
        ]

    def join(self, other: 'MaskLabels') -> 'MaskLabels':
        """Add masks of the same images, whose grid is as fine or finer."""
        masks = F.interpolate(
            self.masks, other.masks.shape[-2:], mode='nearest')
        return MaskLabels(
            torch.cat([self.classes, other.classes], dim=1),
            torch.cat([masks, other.masks], dim=1),
            torch.cat([self.present, other.present], dim=1))


class MatchedMaskLoss(nn.Module):
    """The losses of a mask classifier, for all images and layers at once.

    The costs of matching, the losses and their weights are those of the head,
    hence of its config, and so are the values, but that masks are compared
    where the labels live, at all places of their grid. mmdet matches and
    compares image by image and layer by layer, for which a GPU waits hundreds
    of times a step. Here it waits once, for the matching, which is done on
    the host.

    Args:
        match_costs (Sequence): Costs of mmdet's ``HungarianAssigner``.
        loss_cls (CrossEntropyLoss): Softmax over the classes and "no object",
            with ``class_weight``.
        loss_mask (nn.Module): Loss of a mask's places.
        loss_dice (nn.Module): Loss of a mask as a whole.
        num_points (int, optional): Places that are drawn where the grid has
            more. Defaults to None, for all.
    """

    def __init__(self,
                 match_costs: Sequence,
                 loss_cls: CrossEntropyLoss,
                 loss_mask: nn.Module,
                 loss_dice: nn.Module,
                 num_points: Optional[int] = None) -> None:
        super().__init__()
        self.match_costs = list(match_costs)
        self.loss_cls = loss_cls
        self.loss_mask = loss_mask
        self.loss_dice = loss_dice
        self.num_points = num_points
        # With the losses rather than in a checkpoint, and on their device.
        self.register_buffer(
            'class_weight',
            torch.tensor(loss_cls.class_weight),
            persistent=False)

    @classmethod
    def of_head(cls, head: nn.Module, **kwargs) -> 'MatchedMaskLoss':
        """Take the parts of a head, with ``train_cfg``; a ValueError if they
        are not as those of mmdet's MaskFormer or Mask2Former."""
        assigner = getattr(head, 'assigner', None)
        loss_cls = getattr(head, 'loss_cls', None)
        if (not hasattr(assigner, 'match_costs')
                or type(loss_cls) is not CrossEntropyLoss
                or loss_cls.use_sigmoid or not loss_cls.class_weight):
            raise ValueError(
                f'{type(head).__name__} is not matched as mmdet\'s MaskFormer '
                'is, by a HungarianAssigner and a softmax with class_weight: '
                'set model.prototypes.stock_losses=True, or, to train with '
                'labels, take the stock type of the head.')
        return cls(
            assigner.match_costs,
            loss_cls,
            head.loss_mask,
            head.loss_dice,
            num_points=getattr(head, 'num_points', None),
            **kwargs)

    def forward(self, class_scores: Sequence[Tensor],
                mask_logits: Sequence[Tensor], labels: MaskLabels,
                generator: torch.Generator) -> Dict[str, Tensor]:
        """Match, and compare what was matched; in float32.

        Args:
            class_scores (Sequence[Tensor]): Of each layer, the last class
                for "no object", (B, N, K + 1).
            mask_logits (Sequence[Tensor]): Of each layer, at any resolution,
                (B, N, H', W').
            labels (MaskLabels): The same for all layers.
            generator (torch.Generator): Draws places, if not all are taken.

        Returns:
            dict[str, Tensor]: ``cls``, ``mask`` and ``dice``, scalars, each
            the sum over the layers; not finite where a prediction that
            enters it is not.
        """
        grid = labels.masks.shape[-2:]
        with torch.autocast(labels.masks.device.type, enabled=False):
            scores = torch.stack(list(class_scores)).float()
            on_grid = [
                layer if layer.shape[-2:] == grid else F.interpolate(
                    layer, grid, mode='area') for layer in mask_logits
            ]
            logits = torch.stack(on_grid).flatten(3).float()
            masks = labels.masks.flatten(2)
            if self.num_points is not None:
                logits, masks = _draw_places((logits, masks), self.num_points,
                                             generator)
            queries, matched, num_masks = self._match(scores, logits, masks,
                                                      labels)
            losses = self._compare(
                scores, labels.classes.flatten(), queries, matched, num_masks,
                _take_of_layers(logits.flatten(1, 2), queries),
                masks.flatten(0, 1).index_select(0, matched.flatten()))
        return {name: values.sum() for name, values in losses.items()}

    @torch.no_grad()
    def _match(self, scores: Tensor, logits: Tensor, masks: Tensor,
               labels: MaskLabels) -> Tuple[Tensor, Tensor, int]:
        """Find the matching of least cost.

        From scores (L, B, N, K + 1), logits (L, B, N, P) and masks (B, M, P);
        it returns what :meth:`_assign` does.
        """
        costs = torch.vmap(self._cost)(scores.transpose(0, 1).flatten(1, 2),
                                       logits.transpose(0, 1).flatten(1, 2),
                                       masks, labels.classes)
        # The only place where the host waits.
        on_host = torch.cat([costs, labels.present[:, None].to(costs)], dim=1)
        on_host = on_host.cpu().numpy()
        # Whatever is matched, a loss that is not finite will tell of it.
        costs = np.nan_to_num(on_host[:, :-1], posinf=0.0, neginf=0.0)
        costs = costs.reshape(len(costs), len(scores), -1, costs.shape[-1])
        present = on_host[:, -1] > 0
        numbers = np.arange(present.size).reshape(present.shape)
        costs = [[cost[:, columns] for cost, columns in zip(layer, present)]
                 for layer in costs.swapaxes(0, 1)]
        numbers = [row[columns] for row, columns in zip(numbers, present)]
        return self._assign(costs, numbers, scores.device)

    def _cost(self, scores: Tensor, logits: Tensor, masks: Tensor,
              classes: Tensor) -> Tensor:
        """Compare predictions of an image, (R, K + 1) and (R, P), with its
        masks (M, P) of classes (M, ): (R, M)."""
        predicted = InstanceData(scores=scores, masks=logits)
        labelled = InstanceData(labels=classes, masks=masks)
        return sum(
            cost(pred_instances=predicted, gt_instances=labelled)
            for cost in self.match_costs)

    @staticmethod
    def _assign(costs: Sequence[Sequence[np.ndarray]],
                numbers: Sequence[np.ndarray],
                device: torch.device) -> Tuple[Tensor, Tensor, int]:
        """Find the matching of least cost on the host, of each layer and
        image.

        Args:
            costs (Sequence[Sequence[np.ndarray]]): Of each layer and image,
                (N, m).
            numbers (Sequence[np.ndarray]): By which the masks of each image
                are known, (m, ).
            device (torch.device): For what is found.

        Returns:
            tuple[Tensor, Tensor, int]: Of each layer, the matched queries of
            all images, in (B, N), and the numbers of their masks, both int64
            (L, T); and the number of masks of a layer, of which an image has
            one at least, as mmdet counts.
        """
        queries, matched = [], []
        for layer in costs:
            for image, cost in enumerate(layer):
                rows, order = linear_sum_assignment(cost)
                queries.append(image * len(cost) + rows)
                matched.append(numbers[image][order])
        num_masks = sum(max(min(cost.shape), 1) for cost in costs[0])
        found = np.stack([np.concatenate(queries), np.concatenate(matched)])
        found = torch.from_numpy(found).to(device, non_blocking=True)
        return *found.view(2, len(costs), -1), num_masks

    def _compare(self, scores: Tensor, classes: Tensor, queries: Tensor,
                 matched: Tensor, num_masks: int, logits: Tensor,
                 masks: Tensor) -> Dict[str, Tensor]:
        """Take the losses of what :meth:`_assign` found, of each layer (L, ).

        Args:
            scores (Tensor): (L, B, N, K + 1).
            classes (Tensor): By the number of the mask, int64.
            queries (Tensor): Of :meth:`_assign`, as the next two.
            matched (Tensor): Same.
            num_masks (int): Same.
            logits (Tensor): Of the matched queries, (L * T, P).
            masks (Tensor): What they are compared with, (L * T, P).
        """
        scores = scores.flatten(1, 2)
        target = classes.new_full(scores.shape[:-1], scores.shape[-1] - 1)
        target.scatter_(1, queries, classes[matched])
        weight = self.class_weight[target]
        entropy = weight * F.cross_entropy(
            scores.movedim(-1, 1), target, reduction='none')
        # As in mmdet, the weighted mean of each layer.
        loss_cls = entropy.sum(1) / weight.sum(1)

        # Equally many in each layer; on average over the ranks.
        num_masks = reduce_mean(scores.new_full((), num_masks))
        # A column is one class, to a loss that knows more.
        loss_mask = self.loss_mask(
            logits.reshape(-1, 1),
            masks.reshape(-1, 1),
            reduction_override='none')
        loss_dice = self.loss_dice(logits, masks, reduction_override='none')
        loss_mask, loss_dice = (
            loss.view(len(scores), -1).sum(1) / num_masks
            for loss in (loss_mask, loss_dice))
        return dict(
            cls=self.loss_cls.loss_weight * loss_cls,
            mask=loss_mask / masks.shape[-1],
            dice=loss_dice)


def _take_of_layers(rows: Tensor, indices: Tensor) -> Tensor:
    """Take rows (L, R, P) by indices (L, T) within each layer: (L * T, P)."""
    first = torch.arange(len(rows), device=rows.device) * rows.shape[1]
    indices = (indices + first[:, None]).flatten()
    return rows.flatten(0, 1).index_select(0, indices)


def _draw_places(maps: Sequence[Tensor], count: int,
                 generator: torch.Generator) -> List[Tensor]:
    """Draw places, the same of all maps (..., P), if there are more."""
    num_places = maps[0].shape[-1]
    if num_places <= count:
        return list(maps)
    places = torch.randperm(
        num_places, generator=generator, device=maps[0].device)[:count]
    return [each[..., places] for each in maps]
