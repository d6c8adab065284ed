from typing import List, Sequence

import numpy as np
import torch.nn.functional as F
from matplotlib.figure import Figure
from mmdet.structures import DetDataSample
from sklearn.cluster import KMeans
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


def cluster(feature_maps: Sequence[Tensor],
            num_clusters: int) -> List[np.ndarray]:
    """Cluster the places of several maps together, as the paper's Fig. 5.

    Args:
        feature_maps (Sequence[Tensor]): Each (C, h, w).
        num_clusters (int): Number of clusters, shared by all maps, so that
            one colour means the same in all of them.

    Returns:
        list[np.ndarray]: Cluster of each place, each (h, w).
    """
    places = [
        F.normalize(features.float(), dim=0).flatten(1).T.cpu().numpy()
        for features in feature_maps
    ]
    assignment = KMeans(
        num_clusters, n_init=3, random_state=0).fit_predict(
            np.concatenate(places))
    ends = np.cumsum([len(places_of_one) for places_of_one in places])
    return [
        part.reshape(features.shape[-2:]) for part, features in zip(
            np.split(assignment, ends[:-1]), feature_maps)
    ]


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
    online = [sample.mask_features for sample in samples]
    target = [sample.target_features for sample in samples]
    clusters = cluster(online + target, num_clusters)
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
        row['F_last online, k-means'] = clusters[index]
        row['F_last target, k-means'] = clusters[len(samples) + index]
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
