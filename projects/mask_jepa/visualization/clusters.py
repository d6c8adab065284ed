from typing import List, Sequence

import mmcv
import numpy as np
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import confusion_matrix
from sklearn.utils import resample
from torch import Tensor

from .pictures import shrink, split_places

NUM_FITTED_PLACES = 8192


def cluster_features(feature_maps: Sequence[Tensor],
                     num_clusters: int) -> List[np.ndarray]:
    """Cluster the places of all maps together by k-means (paper, Fig. 5).

    The features are L2-normalised first, so that direction counts.

    Args:
        feature_maps (Sequence[Tensor]): F_last of each image, (C, h_i, w_i).

    Returns:
        list[np.ndarray]: Cluster of each place, (h_i, w_i).
    """
    return _cluster([
        F.normalize(feature_map.float(), dim=0).permute(1, 2, 0).cpu().numpy()
        for feature_map in feature_maps
    ], num_clusters)


def cluster_pixels(pictures: Sequence[np.ndarray],
                   shapes: Sequence[Sequence[int]],
                   num_clusters: int) -> List[np.ndarray]:
    """Cluster images by colour and position, as a reference for colours.

    It depends on no network, so that the colours of two runs agree roughly.

    Args:
        pictures (Sequence[np.ndarray]): RGB in [0, 1], each (H_i, W_i, 3).
        shapes (Sequence[Sequence[int]]): Height and width of each map.

    Returns:
        list[np.ndarray]: Cluster of each place, (h_i, w_i).
    """
    maps = []
    for picture, (height, width) in zip(pictures, shapes):
        position = np.stack(
            np.meshgrid(
                np.linspace(0, 1, height),
                np.linspace(0, 1, width),
                indexing='ij'), -1)
        colour = shrink(picture, (height, width))
        maps.append(np.concatenate([colour, position], -1))
    return _cluster(maps, num_clusters)


def _cluster(maps: Sequence[np.ndarray],
             num_clusters: int) -> List[np.ndarray]:
    """Cluster the places of maps, each (h_i, w_i, C)."""
    places = np.concatenate(
        [values.reshape(-1, values.shape[-1]) for values in maps])
    # A sample finds the centres of large maps in a fraction of the time.
    fitted = places
    if len(places) > NUM_FITTED_PLACES:
        fitted = resample(
            places, replace=False, n_samples=NUM_FITTED_PLACES, random_state=0)
    kmeans = KMeans(num_clusters, n_init=3, random_state=0).fit(fitted)
    return split_places(
        kmeans.predict(places), [values.shape[:2] for values in maps])


def match_clusters(clusters: Sequence[np.ndarray],
                   reference: Sequence[np.ndarray],
                   num_clusters: int) -> List[np.ndarray]:
    """Number clusters so that as many places as possible agree with others.

    Both are maps of the same images, of numbers in [0, num_clusters); those
    of the reference may be of another size.
    """
    reference = [
        mmcv.imresize(
            other.astype(np.uint8), part.shape[::-1], interpolation='nearest')
        for part, other in zip(clusters, reference)
    ]
    # Named labels, since one of the two may have left a cluster empty.
    overlap = confusion_matrix(
        np.concatenate([part.ravel() for part in clusters]),
        np.concatenate([part.ravel() for part in reference]),
        labels=range(num_clusters))
    _, numbers = linear_sum_assignment(overlap, maximize=True)
    return [numbers[part] for part in clusters]
