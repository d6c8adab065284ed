from typing import Callable, List, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead
from torch import Tensor

from ..deformable_pixel_decoder import DeformablePixelDecoder
from .mask_classifier_adapter import ADAPTERS, MaskClassifierAdapter

# Class scores, mask logits, and where they block attention, bool (B * heads,
# N, h * w).
Prediction = Tuple[Tensor, Tensor, Tensor]


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
        device = mask_features.device.type
        if torch.is_autocast_enabled(device):
            # Once, not in each prediction anew.
            mask_features = mask_features.to(torch.get_autocast_dtype(device))

        def predict(queries: Tensor, level: int) -> Prediction:
            return self.head._forward_head(queries, mask_features,
                                           memory[level].shape[-2:])

        return self._decode(memory, queries, predict)

    def decode_on_grid(
            self, memory: Sequence[Tensor], mask_features: Tensor,
            queries: Tensor,
            grid: Tuple[int,
                        int]) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """As :meth:`decode`, but no mask is made in full resolution.

        The product with the mask features commutes with the average over the
        cells of the grid, and with the bilinear samples at which masks block
        the attention: :meth:`MaskClassifierAdapter.decode_on_grid`.
        """
        head = self.head
        on_grid = F.interpolate(mask_features, grid, mode='area')
        # Blocking has no gradient.
        on_memory = [
            F.interpolate(
                mask_features.detach(),
                level.shape[-2:],
                mode='bilinear',
                align_corners=False) for level in memory
        ]

        def predict(queries: Tensor, level: int) -> Prediction:
            queries = head.transformer_decoder.post_norm(queries)
            masks = head.mask_embed(queries)
            logits = torch.einsum('bqc,bchw->bqhw', masks, on_grid)
            blocking = torch.einsum('bqc,bchw->bqhw', masks.detach(),
                                    on_memory[level])
            blocked = (blocking.sigmoid() < 0.5).flatten(2)
            blocked = blocked[:, None].repeat(1, self.num_heads, 1, 1)
            return head.cls_embed(queries), logits, blocked.flatten(0, 1)

        return self._decode(memory, queries, predict)

    def _decode(
        self, memory: Sequence[Tensor], queries: Tensor,
        predict: Callable[[Tensor, int], Prediction]
    ) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        head = self.head
        keys, key_positions = zip(*(self._keys(level, features)
                                    for level, features in enumerate(memory)))
        query_position = head.query_embed.weight.expand_as(queries)
        predictions = []
        for index, layer in enumerate(head.transformer_decoder.layers):
            level = index % len(memory)
            predictions.append(predict(queries, level))
            blocked = predictions[-1][-1]
            queries = layer(
                query=queries,
                key=keys[level],
                value=keys[level],
                query_pos=query_position,
                key_pos=key_positions[level],
                # A query with an empty mask may look everywhere.
                cross_attn_mask=blocked & ~blocked.all(dim=-1, keepdim=True),
                query_key_padding_mask=None,
                key_padding_mask=None)
        predictions.append(predict(queries, 0))
        all_class_scores, all_mask_logits, _ = map(list, zip(*predictions))
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
