from typing import List, Sequence, Tuple

import torch
import torch.nn as nn
from mmdet.models.dense_heads import Mask2FormerHead
from torch import Tensor

from ..deformable_pixel_decoder import DeformablePixelDecoder
from .mask_classifier_adapter import ADAPTERS, MaskClassifierAdapter


@ADAPTERS.register_module()
class Mask2FormerAdapter(MaskClassifierAdapter):
    """Mask2Former of mmdet, and mmseg's, which inherits it.

    See `Masked-attention Mask Transformer for Universal Image Segmentation
    <https://arxiv.org/abs/2112.01527>`_.
    """

    head_class = Mask2FormerHead

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        DeformablePixelDecoder.adopt(head.pixel_decoder)

    @property
    def in_channels(self) -> List[int]:
        """list[int]: Channels of the maps that :meth:`encode` takes."""
        decoder = self.head.pixel_decoder
        # Both lists begin with the coarsest map.
        convolutions = [*decoder.input_convs, *decoder.lateral_convs]
        return [each.conv.in_channels for each in convolutions[::-1]]

    @property
    def memory_channels(self) -> List[int]:
        """list[int]: Channels of each memory level, coarse to fine."""
        return [self.channels] * self.head.num_transformer_feat_level

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
        """Run the pixel decoder: :meth:`MaskClassifierAdapter.encode`.

        In float32 where it is one of mmdet's heirs, since mmcv's operator
        knows no bfloat16.
        """
        self.require_maps(features)
        if isinstance(self.head.pixel_decoder, DeformablePixelDecoder):
            return self.head.pixel_decoder(features)
        with torch.autocast(features[0].device.type, enabled=False):
            return self.head.pixel_decoder([f.float() for f in features])

    def decode(self, memory: Sequence[Tensor], mask_features: Tensor,
               queries: Tensor) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """Run the decoder with masked attention, which predicts before and
        after each layer: :meth:`MaskClassifierAdapter.decode`."""
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
            level = index % len(memory)
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

    def _keys(self, level: int, features: Tensor) -> Tuple[Tensor, Tensor]:
        """Turn a memory level into keys (B, hw, C) and their positions."""
        keys = self.head.decoder_input_projs[level](features)
        keys = keys.flatten(2).transpose(1, 2)
        keys = keys + self.head.level_embed.weight[level]
        no_padding = features.new_zeros((len(features), *features.shape[-2:]),
                                        dtype=torch.bool)
        position = self.head.decoder_positional_encoding(no_padding)
        return keys, position.flatten(2).transpose(1, 2)
