from typing import List, Sequence

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor

from .block_masking import resize_mask


class MaskTokens(BaseModule):
    r"""Replace hidden places of the memory by one learned token per level.

    .. math:: \tilde F_i = M m_i + (1 - M) F_i

    The paper: features "are subjected to a masking process and replaced with
    mask tokens" (Fig. 3).

    Args:
        channels (Sequence[int]): Channels C_i of each memory level.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.tokens = nn.ParameterList(
            nn.init.normal_(torch.empty(count), std=0.02)
            for count in channels)

    def forward(self, memory: Sequence[Tensor],
                hidden: Tensor) -> List[Tensor]:
        """Hide the same places at every level F_i, (B, C_i, h_i, w_i): those
        of the cells that are True in ``hidden``, bool (B, 1, h, w)."""
        return [
            torch.where(
                resize_mask(hidden, features.shape[-2:]),
                token.to(features.dtype)[:, None, None], features)
            for token, features in zip(self.tokens, memory)
        ]
