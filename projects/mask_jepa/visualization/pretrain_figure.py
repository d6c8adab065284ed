from typing import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from mmdet.structures import DetDataSample
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

from ..models.block_masking import resize_mask

PALETTE = 'tab20'


def to_picture(image: Tensor, mean: Tensor, std: Tensor) -> np.ndarray:
    """Undo the normalisation.

    Args:
        image (Tensor): Normalised RGB, (3, H, W).
        mean (Tensor): Of the data preprocessor, (3, 1, 1).
        std (Tensor): Of the data preprocessor, (3, 1, 1).

    Returns:
        np.ndarray: RGB in [0, 1], (H, W, 3).
    """
    picture = (image * std + mean) / 255
    return picture.clamp(0, 1).permute(1, 2, 0).cpu().numpy()


def cluster(feature_maps: Sequence[Tensor], num_clusters: int) -> np.ndarray:
    """Cluster the places of all maps together by k-means (paper, Fig. 5).

    Args:
        feature_maps (Sequence[Tensor]): Each (C, h, w).
        num_clusters (int): Number of clusters.

    Returns:
        np.ndarray: Cluster of each place, (number of maps, h, w).
    """
    stacked = F.normalize(torch.stack(list(feature_maps)).float(), dim=1)
    places = stacked.permute(0, 2, 3, 1).cpu().numpy()
    kmeans = KMeans(num_clusters, n_init=3, random_state=0)
    assignment = kmeans.fit_predict(places.reshape(-1, places.shape[-1]))
    return assignment.reshape(places.shape[:-1])


def match_colours(clusters: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Number clusters so that they agree best with others.

    Args:
        clusters (np.ndarray): To be numbered anew.
        reference (np.ndarray): Of the same shape.

    Returns:
        np.ndarray: The same clusters with other numbers.
    """
    overlap = contingency_matrix(reference.ravel(), clusters.ravel())
    numbers, old_numbers = linear_sum_assignment(overlap, maximize=True)
    return numbers[np.argsort(old_numbers)][clusters]


def draw_pretraining(samples: Sequence[DetDataSample],
                     mean: Tensor,
                     std: Tensor,
                     num_clusters: int = 8) -> Figure:
    """Show what the model sees and makes of it, one image a row.

    Args:
        samples (Sequence[DetDataSample]): From ``MaskJEPA.predict``.
        mean (Tensor): Of the data preprocessor, (3, 1, 1).
        std (Tensor): Of the data preprocessor, (3, 1, 1).
        num_clusters (int): Colours of the k-means maps. Defaults to 8.

    Returns:
        Figure: Ready to be saved.
    """
    target = cluster([sample.target_features for sample in samples],
                     num_clusters)
    online = cluster([sample.mask_features for sample in samples],
                     num_clusters)
    online = match_colours(online, target)
    rows = []
    for index, sample in enumerate(samples):
        clean = to_picture(sample.clean_image, mean, std)
        hidden = resize_mask(sample.hidden[None, None], clean.shape[:2])
        hidden = hidden[0, 0].cpu().numpy()
        row = {
            'clean': clean,
            'hidden places': np.where(hidden[..., None], 0.5, clean),
            'noisy input': to_picture(sample.noisy_image, mean, std)
        }
        if 'reconstruction' in sample:
            row['reconstruction'] = to_picture(sample.reconstruction, mean,
                                               std)
        row['F_last online, k-means'] = online[index]
        row['F_last target, k-means'] = target[index]
        row['query that owns the place'] = sample.mask_weights.argmax(
            0).cpu().numpy() % 20
        rows.append(row)

    figure = Figure(
        figsize=(2 * len(rows[0]), 2.1 * len(rows)), layout='constrained')
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for row, row_axes in zip(rows, axes):
        for (title, picture), axis in zip(row.items(), row_axes):
            limit = num_clusters if 'k-means' in title else 20
            axis.imshow(
                picture,
                cmap=PALETTE,
                vmin=0,
                vmax=limit - 1,
                interpolation='nearest')
            axis.set_axis_off()
            if row is rows[0]:
                axis.set_title(title, fontsize=8)
    return figure
