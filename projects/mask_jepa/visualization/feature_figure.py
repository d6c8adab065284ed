from typing import Dict, List, Sequence

import numpy as np
from torch import Tensor

from .clusters import cluster_features, cluster_pixels, match_clusters
from .colours import colour_clusters, principal_components
from .sheet import draw_sheet


def draw_features(pictures: Sequence[np.ndarray],
                  titles: Sequence[str],
                  mask_features: Dict[str, List[Tensor]],
                  num_clusters: int = 8,
                  panel_size: int = 240) -> np.ndarray:
    """Compare the mask features of models, one image a column.

    Below the images, two rows a model: F_last clustered by k-means (paper,
    Fig. 5), and its principal components as RGB (after Fig. 2).

    Args:
        pictures (Sequence[np.ndarray]): RGB in [0, 1], each (H_i, W_i, 3).
        titles (Sequence[str]): One for each image.
        mask_features (dict[str, list[Tensor]]): F_last of each image, each
            (C, H_i/4, W_i/4), by the name of the model.
        num_clusters (int): Colours of the k-means maps, at most 20.
            Defaults to 8.
        panel_size (int): Longest side of a picture on the sheet, in pixels.
            Defaults to 240.

    Returns:
        np.ndarray: The sheet, RGB, uint8, (H, W, 3).
    """
    rows = {'image': list(pictures)}
    for name, feature_maps in mask_features.items():
        shapes = [feature_map.shape[1:] for feature_map in feature_maps]
        clusters = match_clusters(
            cluster_features(feature_maps, num_clusters),
            cluster_pixels(pictures, shapes, num_clusters), num_clusters)
        rows[f'{name}: k-means'] = [
            colour_clusters(part, num_clusters) for part in clusters
        ]
        rows[f'{name}: PCA as RGB'] = principal_components(
            feature_maps, pictures)
    return draw_sheet(list(rows.values()), titles, list(rows), panel_size)
