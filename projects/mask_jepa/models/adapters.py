from typing import List, Sequence, Tuple, Type

import torch
import torch.nn as nn
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.registry import MODELS
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
    # Parts of the head that label-free pretraining leaves as they are.
    untrained_modules = ('cls_embed', )

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
               queries: Tensor) -> Tuple[Tensor, Tensor]:
        """Run the transformer decoder with given queries.

        Args:
            memory (Sequence[Tensor]): Coarse to fine, each (B, C, h_i, w_i).
            mask_features (Tensor): F_last, (B, C, h, w).
            queries (Tensor): In place of the head's own, (B, N, C).

        Returns:
            tuple[Tensor, Tensor]:

            - Query embeddings X, normalised as for the head's own
              predictions, (B, N, C).
            - Mask logits, (B, N, h, w).
        """
        head = self.head
        keys, key_positions = zip(*(self._keys(level, features)
                                    for level, features in enumerate(memory)))
        query_position = head.query_embed.weight.expand_as(queries)

        def blocked_places(level: int) -> Tensor:
            """Where cross-attention to a level is blocked."""
            blocked = head._forward_head(queries, mask_features,
                                         memory[level].shape[-2:])[2]
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
                cross_attn_mask=blocked_places(level),
                query_key_padding_mask=None,
                key_padding_mask=None)
        embeddings = head.transformer_decoder.post_norm(queries)
        mask_logits = torch.einsum('bnc,bchw->bnhw',
                                   head.mask_embed(embeddings), mask_features)
        return embeddings, mask_logits

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
