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
        num_levels (int): Number of memory levels.
        channels (int): Channels of the memory.
    """

    def __init__(self, num_levels: int, channels: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(num_levels, channels))
        nn.init.normal_(self.tokens, std=0.02)

    def forward(self, memory: Sequence[Tensor],
                hidden: Tensor) -> List[Tensor]:
        """Hide the same places at every level.

        Args:
            memory (Sequence[Tensor]): F_1..F_L, each (B, C, h_i, w_i).
            hidden (Tensor): True at hidden cells, bool (B, 1, h, w).

        Returns:
            list[Tensor]: The masked memory, in the same shapes.
        """
        return [
            torch.where(
                resize_mask(hidden, features.shape[-2:]),
                token.to(features.dtype)[:, None, None], features)
            for token, features in zip(self.tokens, memory)
        ]
