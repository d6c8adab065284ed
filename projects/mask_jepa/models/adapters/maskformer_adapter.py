from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import MaskFormerHead
from torch import Tensor

from .mask_classifier_adapter import ADAPTERS, MaskClassifierAdapter

# All that the head wants to know of images without padding.
NO_PADDING = dict(img_shape=(1, 1), batch_input_shape=(1, 1))


@ADAPTERS.register_module()
class MaskFormerAdapter(MaskClassifierAdapter):
    """MaskFormer of mmdet with either pixel decoder, and mmseg's.

    See `Per-Pixel Classification is Not All You Need for Semantic
    Segmentation <https://arxiv.org/abs/2107.06278>`_. Its one level of memory
    is the output of the transformer encoder; of a ``PixelDecoder``, which has
    none, the coarsest map of the backbone. Its queries are DETR's: positions
    in the attention, whose content starts at zero.
    """

    head_class = MaskFormerHead

    @property
    def in_channels(self) -> List[int]:
        """list[int]: Channels of the maps that :meth:`encode` takes."""
        return list(self.head.pixel_decoder.in_channels)

    @property
    def memory_channels(self) -> List[int]:
        """list[int]: Channels of the one memory level."""
        pixel_decoder = self.head.pixel_decoder
        return [
            getattr(pixel_decoder, 'encoder_embed_dims',
                    pixel_decoder.in_channels[-1])
        ]

    @property
    def num_heads(self) -> int:
        """int: Attention heads of the transformer decoder."""
        return self.head.transformer_decoder.layers[0].cross_attn.num_heads

    @property
    def learned_queries(self) -> Tensor:
        """Tensor: Q_learned, (N, C)."""
        return self.head.query_embed.weight

    def encode(self,
               features: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Run the pixel decoder: :meth:`MaskClassifierAdapter.encode`."""
        self.require_maps(features)
        mask_features, memory = self.head.pixel_decoder(
            features, [NO_PADDING] * len(features[0]))
        return mask_features, [memory]

    def decode(self, memory: Sequence[Tensor], mask_features: Tensor,
               queries: Tensor) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """Run the decoder, which predicts after each layer:
        :meth:`MaskClassifierAdapter.decode`."""
        head = self.head
        no_padding = memory[0].new_zeros((len(queries), *memory[0].shape[-2:]),
                                         dtype=torch.bool)
        position = head.decoder_pe(no_padding).flatten(2).transpose(1, 2)
        keys = head.decoder_input_proj(memory[0]).flatten(2).transpose(1, 2)
        embeddings = head.transformer_decoder(
            query=torch.zeros_like(queries),
            key=keys,
            value=keys,
            query_pos=queries,
            key_pos=position,
            key_padding_mask=None)
        mask_logits = torch.einsum('lbqc,bchw->lbqhw',
                                   head.mask_embed(embeddings), mask_features)
        return (embeddings[-1], list(head.cls_embed(embeddings)),
                list(mask_logits))

    def decode_on_grid(
            self, memory: Sequence[Tensor], mask_features: Tensor,
            queries: Tensor,
            grid: Tuple[int,
                        int]) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """As :meth:`decode`, of mask features on the grid, since the product
        with them commutes with the average:
        :meth:`MaskClassifierAdapter.decode_on_grid`."""
        on_grid = F.interpolate(mask_features, grid, mode='area')
        return self.decode(memory, on_grid, queries)
