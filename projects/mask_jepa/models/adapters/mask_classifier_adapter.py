from abc import ABCMeta, abstractmethod
from typing import Dict, List, Sequence, Tuple, Type

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.registry import Registry
from mmengine.structures import InstanceData
from torch import Tensor

# One adapter for each family of heads.
ADAPTERS = Registry('adapter of a mask classifier', scope='mask_jepa')


class MaskClassifierAdapter(metaclass=ABCMeta):
    """Two verbs, :meth:`encode` and :meth:`decode`, over a head's parts.

    A family of heads joins Mask-JEPA by a subclass, registered in
    ``ADAPTERS``. An adapter holds no weights of its own and is no
    ``nn.Module``, so no weight is stored twice.

    Args:
        head (nn.Module): Of :attr:`head_class`; or, where only
            :meth:`encode` is called, any module with its ``pixel_decoder``.
    """

    # Whose ``forward`` the verbs follow.
    head_class: Type[nn.Module]
    # Parts of the head that know classes: they are not handed over, and
    # without prototypes they are not trained.
    class_modules = ('cls_embed', )

    def __init__(self, head: nn.Module) -> None:
        self.head = head

    @property
    def channels(self) -> int:
        """int: Channels of queries and mask features, C."""
        return self.learned_queries.shape[1]

    @property
    def num_classes(self) -> int:
        """int: Classes that the head tells apart, without "no object"."""
        return self.head.num_classes

    @property
    @abstractmethod
    def in_channels(self) -> List[int]:
        """list[int]: Channels of the maps that :meth:`encode` takes, fine to
        coarse."""

    @property
    @abstractmethod
    def memory_channels(self) -> List[int]:
        """list[int]: Channels of each memory level, coarse to fine."""

    @property
    @abstractmethod
    def num_heads(self) -> int:
        """int: Attention heads of the transformer decoder."""

    @property
    @abstractmethod
    def learned_queries(self) -> Tensor:
        """Tensor: Q_learned, (N, C)."""

    @abstractmethod
    def encode(self,
               features: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Run the pixel decoder.

        Args:
            features (Sequence[Tensor]): Maps of the backbone or the neck,
                fine to coarse, each (B, C_i, h_i, w_i), of images without
                padding.

        Returns:
            tuple[Tensor, list[Tensor]]:

            - Mask features F_last, (B, C, H/4, W/4).
            - Memory F_1..F_L, coarse to fine, each (B, C_i, h_i, w_i).
        """

    @abstractmethod
    def decode(self, memory: Sequence[Tensor], mask_features: Tensor,
               queries: Tensor) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """Run the transformer decoder with given queries.

        Args:
            memory (Sequence[Tensor]): Coarse to fine, each
                (B, C_i, h_i, w_i).
            mask_features (Tensor): F_last, (B, C, h, w).
            queries (Tensor): In place of the head's own, (B, N, C).

        Returns:
            tuple[Tensor, list[Tensor], list[Tensor]]:

            - Query embeddings X, normalised as for the head's own
              predictions, (B, N, C).
            - Class scores of each layer, (B, N, K + 1).
            - Mask logits of each layer, (B, N, h, w).
        """

    def decode_on_grid(
            self, memory: Sequence[Tensor], mask_features: Tensor,
            queries: Tensor,
            grid: Tuple[int,
                        int]) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """As :meth:`decode`, with mask logits averaged over the cells of a
        grid, each (B, N, *grid).

        A family may have a cheaper way to the same.
        """
        embeddings, class_scores, mask_logits = self.decode(
            memory, mask_features, queries)
        return embeddings, class_scores, [
            F.interpolate(logits, grid, mode='area') for logits in mask_logits
        ]

    def require_maps(self, features: Sequence[Tensor]) -> None:
        """Raise a ValueError if :meth:`encode` takes other maps than these."""
        found = [level.shape[1] for level in features]
        if found != self.in_channels:
            raise ValueError(
                f'The backbone gives maps of {found} channels, but '
                f'model.panoptic_head.in_channels is {self.in_channels}: set '
                'it, or backbone.out_indices; a backbone with maps of one '
                'size needs a model.neck, such as mmseg.Feature2Pyramid.')

    def require_mask_losses(self) -> None:
        """Raise a ValueError if the head was built without matching of masks,
        or weighs another number of classes than it has."""
        if not self.head.train_cfg:
            raise ValueError(
                'model.prototypes are learned by the head\'s own losses, '
                'which need model.panoptic_head.train_cfg: take the '
                'train_cfg of a config of mmdet for this head, or set '
                'model.prototypes=None.')
        class_weight = getattr(self.head.loss_cls, 'class_weight', None)
        if class_weight and len(class_weight) != self.num_classes + 1:
            raise ValueError(
                'model.panoptic_head.loss_cls.class_weight needs a weight for '
                f'each of {self.num_classes} classes and one for "no object", '
                f'but has {len(class_weight)}.')

    def mask_losses(self, class_scores: List[Tensor],
                    mask_logits: List[Tensor],
                    instances: List[InstanceData]) -> Dict[str, Tensor]:
        """Take the head's own losses on what :meth:`decode` gives, in float32.

        Each image has an instance with ``labels`` and ``masks``, int64 (M, )
        and (M, h, w). A head that compares masks at points draws them from
        torch's global generator.

        Returns:
            dict[str, Tensor]: ``cls``, ``mask`` and ``dice``, scalars, each
            the sum over the layers, with the weights of the head's config;
            not a number where the predictions are not finite.
        """
        try:
            with torch.autocast(mask_logits[0].device.type, enabled=False):
                losses = self.head.loss_by_feat(
                    [scores.float() for scores in class_scores],
                    [logits.float() for logits in mask_logits], instances,
                    [dict() for _ in instances])
        except ValueError:
            # The matching takes finite costs alone, and says less of what is
            # wrong than NonFiniteLossHook.
            predictions = (*class_scores, *mask_logits)
            if all(each.isfinite().all() for each in predictions):
                raise
            nothing = mask_logits[0].new_tensor(float('nan'))
            return dict(cls=nothing, mask=nothing, dice=nothing)
        totals: Dict[str, Tensor] = {}
        for name, value in losses.items():
            kind = name.rpartition('loss_')[2]
            totals[kind] = totals.get(kind, 0) + value.sum()
        return totals


def find_adapter(head: nn.Module) -> Type[MaskClassifierAdapter]:
    """Find the adapter of a head's family.

    An adapter does what ``forward`` of its ``head_class`` does, so it fits the
    heads that inherit that method, and no others; of several that fit, the one
    registered last is taken.

    Raises:
        TypeError: If none fits.
    """
    fitting = [
        adapter for adapter in ADAPTERS.module_dict.values()
        if isinstance(head, adapter.head_class)
        and type(head).forward is adapter.head_class.forward
    ]
    if not fitting:
        known = ', '.join(adapter.head_class.__name__
                          for adapter in ADAPTERS.module_dict.values())
        raise TypeError(
            f'model.panoptic_head is a {type(head).__name__}, for which '
            f'there is no adapter (there is for {known}): write one with the '
            'verbs encode and decode, as '
            'docs/new_architecture.md shows.')
    return fitting[-1]
