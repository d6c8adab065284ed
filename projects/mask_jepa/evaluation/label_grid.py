from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def count_classes(labels: Tensor, num_classes: int,
                  image_shape: Tuple[int, int], input_shape: Tuple[int, int],
                  grid: Tuple[int, int]) -> Tensor:
    """Count the labelled pixels of each class in each cell of a feature map.

    Args:
        labels (Tensor): Label map at any resolution, (H, W); values outside
            [0, num_classes) are ignored.
        num_classes (int): K.
        image_shape (tuple[int, int]): Height and width of the image as the
            network sees it, without padding.
        input_shape (tuple[int, int]): The same with padding, at the lower
            and right edge.
        grid (tuple[int, int]): Height and width of the feature map, h and w.

    Returns:
        Tensor: Counts, (h * w, K), float.
    """
    row, column = (
        _cells(*lengths)
        for lengths in zip(labels.shape, image_shape, input_shape, grid))
    cell = (row[:, None] * grid[1] + column).to(labels.device)
    labelled = (labels >= 0) & (labels < num_classes)
    index = cell[labelled] * num_classes + labels[labelled].long()
    num_cells = grid[0] * grid[1]
    counts = torch.bincount(index, minlength=num_cells * num_classes)
    return counts.view(num_cells, num_classes).float()


def _cells(length: int, image_length: int, input_length: int,
           num_cells: int) -> Tensor:
    """Find the cell of each label pixel along one axis."""
    position = (torch.arange(length) + 0.5) * image_length / length
    return (position * num_cells / input_length).long()


def upsample_scores(scores: Tensor, image_shape: Tuple[int, int],
                    input_shape: Tuple[int, int],
                    label_shape: Tuple[int, int]) -> Tensor:
    """Bring scores, (K, h, w), to the grid of the labels, (K, *label_shape).

    The other shapes are as for :func:`count_classes`.
    """
    scores = F.interpolate(scores[None], input_shape, mode='bilinear')
    scores = scores[..., :image_shape[0], :image_shape[1]]
    return F.interpolate(scores, label_shape, mode='bilinear')[0]
