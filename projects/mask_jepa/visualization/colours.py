import colorsys
from typing import List, Sequence

import matplotlib
import numpy as np
from sklearn.decomposition import PCA
from torch import Tensor

from .pictures import shrink, split_places

MAX_CLUSTERS = 20  # as many colours as the larger palette has
# Of the JEPA loss at a place. Predicting zero everywhere gives 0.42, since the
# normalised target has unit variance.
MAX_ERROR = 0.5
GOLDEN_RATIO = (1 + 5**0.5) / 2
LIGHTNESS = (0.5, 0.35, 0.65)
LUMINANCE = np.array([0.299, 0.587, 0.114])  # of RGB, ITU-R BT.601
PERCENTILES = (2, 98)


def colour_clusters(clusters: np.ndarray, num_clusters: int) -> np.ndarray:
    """Give each of at most 20 clusters, numbers (h, w), its colour.

    Returns:
        np.ndarray: RGB in [0, 1], (h, w, 3).
    """
    palette = 'Set1' if num_clusters <= 9 else 'tab20'
    return np.array(matplotlib.colormaps[palette].colors)[clusters]


def colour_error(error: np.ndarray) -> np.ndarray:
    """Colour errors, (h, w), from 0, dark, to ``MAX_ERROR``, bright.

    Returns:
        np.ndarray: RGB in [0, 1], (h, w, 3).
    """
    return matplotlib.colormaps['inferno'](error / MAX_ERROR)[..., :3]


def query_colours(num_queries: int) -> np.ndarray:
    """Choose one colour for each query; the mean of all is grey.

    Returns:
        np.ndarray: RGB in [0, 1], (N, 3). Steps of the golden ratio keep the
        hues of neighbours apart.
    """
    colours = np.array([
        colorsys.hls_to_rgb(index * GOLDEN_RATIO % 1,
                            LIGHTNESS[index % len(LIGHTNESS)], 1)
        for index in range(num_queries)
    ])
    return (colours - colours.mean(0) + 0.5).clip(0, 1)


def colour_query_masks(mask_weights: Tensor) -> np.ndarray:
    """Mix the colours of the queries at each place.

    A place that one query owns has its colour; one that many share is grey.
    The masks are alpha, (N, h, w), which sums to one over N.

    Returns:
        np.ndarray: RGB in [0, 1], (h, w, 3).
    """
    weights = mask_weights.float().permute(1, 2, 0).cpu().numpy()
    return (weights @ query_colours(weights.shape[-1])).clip(0, 1)


def principal_components(feature_maps: Sequence[Tensor],
                         pictures: Sequence[np.ndarray]) -> List[np.ndarray]:
    """Show features by their first three principal components, as RGB.

    The components are those of all maps together (paper, Fig. 2, looks at
    the mask features of one model). The sign of a component means nothing;
    here each grows with the brightness of the image, so that colours do not
    flip from step to step.

    Args:
        feature_maps (Sequence[Tensor]): Each (C, h_i, w_i), C at least 3.
        pictures (Sequence[np.ndarray]): RGB in [0, 1], each (H_i, W_i, 3).

    Returns:
        list[np.ndarray]: RGB in [0, 1], each (h_i, w_i, 3); 0 and 1 are the
        2nd and the 98th percentile of a component.
    """
    shapes = [feature_map.shape[1:] for feature_map in feature_maps]
    places = np.concatenate([
        feature_map.flatten(1).T.float().cpu().numpy()
        for feature_map in feature_maps
    ])
    luminance = np.concatenate([(shrink(picture, shape) @ LUMINANCE).ravel()
                                for picture, shape in zip(pictures, shapes)])
    components = np.zeros((len(places), 3))
    count = min(3, len(places))
    # Collapsed features have no variance to divide by.
    with np.errstate(invalid='ignore'):
        components[:, :count] = PCA(
            count, random_state=0).fit_transform(places)
    covariance = (luminance - luminance.mean()) @ components
    components *= np.where(covariance < 0, -1, 1)
    low, high = np.percentile(components, PERCENTILES, axis=0)
    colours = (components - low) / np.maximum(high - low, 1e-12)
    return split_places(colours.clip(0, 1), shapes)
