from typing import Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..utils import require_share


class BlockMasking(nn.Module):
    """Choose the places to hide, as blocks on one coarse grid.

    The paper masks the pixel decoder's features; blocks, ratio and grid are
    ours. One grid serves the image and all feature levels, so that all of
    them hide the same places (:func:`resize_mask`).

    Each image gets its own block pattern at a random offset, and exactly
    ``round(ratio * cells)`` of its cells are hidden.

    Args:
        ratio (float): Share of hidden cells, in [0, 1]. Defaults to 0.5.
        block_size (int): Side of a block, in cells. Defaults to 2.
        stride (int): Side of a cell, in pixels; a multiple of the backbone's
            largest stride. Defaults to 32.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    def __init__(self,
                 ratio: float = 0.5,
                 block_size: int = 2,
                 stride: int = 32) -> None:
        super().__init__()
        require_share('model.masking.ratio', ratio)
        if block_size < 1:
            raise ValueError('model.masking.block_size must be at least 1, '
                             f'but is {block_size}.')
        self.ratio = ratio
        self.block_size = block_size
        self.stride = stride

    def forward(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a mask for each image, (B, 3, H, W).

        Returns:
            Tensor: True at hidden cells, bool (B, 1, H/stride, W/stride).

        Raises:
            ValueError: If H or W is no multiple of ``stride``.
        """
        batch_size, _, *extent = image.shape
        if any(side % self.stride for side in extent):
            raise ValueError(
                f'The images are {extent[0]}x{extent[1]} pixels, but height '
                f'and width must be multiples of {self.stride}: change the '
                'crop size.')
        rows, columns = (side // self.stride for side in extent)
        scores = self._block_scores(batch_size, rows, columns, image.device,
                                    generator)
        hidden_count = round(self.ratio * rows * columns)
        chosen = scores.flatten(1).topk(hidden_count, dim=1).indices
        hidden = torch.zeros(
            batch_size, rows * columns, dtype=torch.bool, device=image.device)
        hidden.scatter_(1, chosen, True)
        return hidden.view(batch_size, 1, rows, columns)

    def _block_scores(self, batch_size: int, rows: int, columns: int,
                      device: torch.device,
                      generator: torch.Generator) -> Tensor:
        """Score cells so that those of one block come together."""
        size = self.block_size

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        # One block more than fits, for the offset.
        blocks = draw(batch_size, 1, rows // size + 2, columns // size + 2)
        scores = F.interpolate(blocks, scale_factor=size, mode='nearest')
        offset = (draw(batch_size, 2) * size).long()
        row = offset[:, :1] + torch.arange(rows, device=device)
        column = offset[:, 1:] + torch.arange(columns, device=device)
        image_index = torch.arange(batch_size, device=device)[:, None, None]
        scores = scores[image_index, 0, row[:, :, None], column[:, None, :]]
        # A block that only just fails to fit is cut at random cells.
        return scores + 1e-4 * draw(batch_size, rows, columns)


def resize_mask(mask: Tensor, size: Tuple[int, int]) -> Tensor:
    """Bring a mask, bool (B, 1, h, w), from the coarse grid to another size.

    Raises:
        ValueError: If that is no multiple of the grid, and would cut cells.
    """
    if any(side % cells for side, cells in zip(size, mask.shape[-2:])):
        raise ValueError(
            f'A grid of {tuple(mask.shape[-2:])} cells does not fit a map of '
            f'{tuple(size)} places: model.masking.stride must be a multiple '
            'of the largest stride of the network.')
    return F.interpolate(mask.float(), size=size, mode='nearest') > 0.5
