from typing import Dict, List, Sequence, Tuple, Type

import torch
import torch.nn as nn
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor


@MODELS.register_module()
class Mask2FormerAdapter:
    """Two verbs over the sub-modules of a Mask2Former head.

    A head of another family joins Mask-JEPA by a class with the same members.
    The adapter holds no weights of its own and is no ``nn.Module``, so no
    weight is stored twice.

    Args:
        head (nn.Module): mmdet's ``Mask2FormerHead``; or, where only
            :meth:`encode` is called, any module with its ``pixel_decoder``.
    """

    head_class = Mask2FormerHead
    # Parts of the head that know classes: they are not handed over, and
    # without prototypes they are not trained.
    class_modules = ('cls_embed', )

    def __init__(self, head: nn.Module) -> None:
        self.head = head

    @property
    def channels(self) -> int:
        """int: Channels of queries, memory and mask features."""
        return self.head.query_feat.embedding_dim

    @property
    def num_levels(self) -> int:
        """int: Number of memory levels that the decoder attends to."""
        return self.head.num_transformer_feat_level

    @property
    def num_heads(self) -> int:
        """int: Attention heads of the transformer decoder."""
        return self.head.num_heads

    @property
    def num_classes(self) -> int:
        """int: Classes that the head tells apart, without "no object"."""
        return self.head.num_classes

    @property
    def learned_queries(self) -> Tensor:
        """Tensor: Q_learned, (N, C)."""
        return self.head.query_feat.weight

    def encode(self,
               features: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Run the pixel decoder.

        Deformable attention has no bfloat16 kernel in mmcv and overflows in
        float16, so it runs in float32 under mixed precision as well.

        Args:
            features (Sequence[Tensor]): Backbone maps, fine to coarse, each
                (B, C_i, h_i, w_i).

        Returns:
            tuple[Tensor, list[Tensor]]:

            - Mask features F_last, (B, C, H/4, W/4).
            - Memory F_1..F_3, coarse to fine, each (B, C, h_i, w_i).
        """
        with torch.autocast(features[0].device.type, enabled=False):
            return self.head.pixel_decoder([f.float() for f in features])

    def decode(self, memory: Sequence[Tensor], mask_features: Tensor,
               queries: Tensor) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """Run the transformer decoder with given queries.

        Args:
            memory (Sequence[Tensor]): Coarse to fine, each (B, C, h_i, w_i).
            mask_features (Tensor): F_last, (B, C, h, w).
            queries (Tensor): In place of the head's own, (B, N, C).

        Returns:
            tuple[Tensor, list[Tensor], list[Tensor]]:

            - Query embeddings X, normalised as for the head's own
              predictions, (B, N, C).
            - Class scores before and after each layer, (B, N, K + 1).
            - Mask logits before and after each layer, (B, N, h, w).
        """
        head = self.head
        keys, key_positions = zip(*(self._keys(level, features)
                                    for level, features in enumerate(memory)))
        query_position = head.query_embed.weight.expand_as(queries)
        all_class_scores, all_mask_logits = [], []

        def predict(level: int) -> Tensor:
            """Keep what the queries say; where attention is blocked."""
            class_scores, mask_logits, blocked = head._forward_head(
                queries, mask_features, memory[level].shape[-2:])
            all_class_scores.append(class_scores)
            all_mask_logits.append(mask_logits)
            # A query with an empty mask may look everywhere.
            return blocked & ~blocked.all(dim=-1, keepdim=True)

        for index, layer in enumerate(head.transformer_decoder.layers):
            level = index % self.num_levels
            queries = layer(
                query=queries,
                key=keys[level],
                value=keys[level],
                query_pos=query_position,
                key_pos=key_positions[level],
                cross_attn_mask=predict(level),
                query_key_padding_mask=None,
                key_padding_mask=None)
        predict(0)
        embeddings = head.transformer_decoder.post_norm(queries)
        return embeddings, all_class_scores, all_mask_logits

    def require_mask_losses(self) -> None:
        """Make sure that :meth:`mask_losses` can be called.

        Raises:
            ValueError: If the head was built without matching of masks.
        """
        if not self.head.train_cfg:
            raise ValueError(
                'model.prototypes are learned by the head\'s own losses, '
                'which need model.panoptic_head.train_cfg: take the '
                'train_cfg of a Mask2Former config of mmdet, or set '
                'model.prototypes=None.')

    def mask_losses(self, class_scores: List[Tensor],
                    mask_logits: List[Tensor],
                    instances: List[InstanceData]) -> Dict[str, Tensor]:
        """Take the head's own losses, as in training with labels.

        In float32. The head draws the points that it compares from torch's
        global generator.

        Args:
            class_scores (list[Tensor]): Of :meth:`decode`.
            mask_logits (list[Tensor]): Of :meth:`decode`.
            instances (list[:obj:`InstanceData`]): One for each image, with
                ``labels`` (M, ) and ``masks`` (M, h, w).

        Returns:
            dict[str, Tensor]: ``cls``, ``mask`` and ``dice``, scalars, each
            the sum over the layers, with the weights of the head's config.
        """
        with torch.autocast(mask_logits[0].device.type, enabled=False):
            losses = self.head.loss_by_feat(
                [scores.float() for scores in class_scores],
                [logits.float() for logits in mask_logits], instances,
                [dict() for _ in instances])
        totals: Dict[str, Tensor] = {}
        for name, value in losses.items():
            kind = name.rpartition('loss_')[2]
            totals[kind] = totals.get(kind, 0) + value.sum()
        return totals

    def _keys(self, level: int, features: Tensor) -> Tuple[Tensor, Tensor]:
        """Turn a memory level into keys (B, hw, C) and their positions."""
        keys = self.head.decoder_input_projs[level](features)
        keys = keys.flatten(2).transpose(1, 2)
        keys = keys + self.head.level_embed.weight[level]
        no_padding = features.new_zeros(
            (len(features), *features.shape[-2:]), dtype=torch.bool)
        position = self.head.decoder_positional_encoding(no_padding)
        return keys, position.flatten(2).transpose(1, 2)


def find_adapter(name: str, head: nn.Module) -> Type:
    """Find the adapter class of a config.

    Args:
        name (str): Registered name, the config's ``model.adapter``.
        head (nn.Module): The head that it shall reach into.

    Returns:
        type: The class.

    Raises:
        ValueError: If nothing is registered under that name.
        TypeError: If it is for heads of another family.
    """
    adapter = MODELS.get(name)
    if adapter is None:
        raise ValueError(f'model.adapter is {name!r}, which is not '
                         'registered: name one that is.')
    if not isinstance(head, adapter.head_class):
        raise TypeError(
            f'{name} reaches the parts of a {adapter.head_class.__name__}, '
            f'but model.panoptic_head is a {type(head).__name__}: set '
            'model.adapter to the adapter of that family.')
    return adapter
