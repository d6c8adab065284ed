from typing import Optional, Tuple

import torch
import torch.nn as nn
from mmdet.models.layers import SinePositionalEncoding
from mmengine.model import BaseModule
from torch import Tensor


class QueryToMap(BaseModule):
    r"""From the predictor's queries back to a feature map.

    The prediction is made *through masks*: softmax over the queries at each
    place gives weights :math:`\alpha` (B, N, h, w), and the map
    :math:`P = \sum_n \alpha_n W X_n` gets at each place what the queries that
    own it know, so a query must own a region to predict it (ours). Auxiliary
    self-attention (the paper names it and ablates it; its form is ours), one
    pre-norm transformer layer over the map's tokens and the queries, then
    refines the map. All of it is thrown away after pretraining.

    Args:
        channels (int): Channels of queries and map, C.
        num_heads (int): Heads of the auxiliary self-attention.
            Defaults to 8.
        auxiliary_self_attention (bool): The paper's ablation switch.
            Defaults to True.
        target_channels (int, optional): Channels of the target, T; None is as
            many as those of the map. Defaults to None.
    """

    def __init__(self,
                 channels: int,
                 num_heads: int = 8,
                 auxiliary_self_attention: bool = True,
                 target_channels: Optional[int] = None) -> None:
        super().__init__()
        self.query_projection = nn.Linear(channels, channels)
        self.positional_encoding = SinePositionalEncoding(
            channels // 2, normalize=True)
        self.auxiliary_self_attention = None
        if auxiliary_self_attention:
            self.auxiliary_self_attention = nn.TransformerEncoderLayer(
                channels,
                num_heads,
                dim_feedforward=4 * channels,
                dropout=0.0,
                activation='gelu',
                batch_first=True,
                norm_first=True)
        self.prediction = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, target_channels or channels))

    def forward(self, queries: Tensor,
                mask_logits: Tensor) -> Tuple[Tensor, Tensor]:
        """Lay queries X, (B, N, C), out as a map by their masks, (B, N, h, w).

        Returns:
            tuple[Tensor, Tensor]: The predicted map, (B, T, h, w), and the
            weights alpha, (B, N, h, w), which sum to one over N.
        """
        height, width = mask_logits.shape[-2:]
        weights = mask_logits.float().softmax(dim=1)
        tokens = torch.einsum('bnp,bnc->bpc', weights.flatten(2),
                              self.query_projection(queries))
        if self.auxiliary_self_attention is not None:
            no_padding = tokens.new_zeros((len(tokens), height, width))
            position = self.positional_encoding(no_padding)
            tokens = tokens + position.flatten(2).transpose(1, 2)
            sequence = torch.cat([tokens, queries.to(tokens)], dim=1)
            sequence = self.auxiliary_self_attention(sequence)
            tokens = sequence[:, :height * width]
        prediction = self.prediction(tokens)
        prediction = prediction.transpose(1, 2).unflatten(2, (height, width))
        return prediction, weights
