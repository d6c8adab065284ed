from typing import List, Sequence

import numpy as np
from sklearn.decomposition import PCA
from torch import Tensor

from .to_picture import shrink

LUMINANCE = np.array([0.299, 0.587, 0.114])  # of RGB, ITU-R BT.601
PERCENTILES = (2, 98)


def principal_components(feature_maps: Sequence[Tensor],
                         pictures: Sequence[np.ndarray]) -> List[np.ndarray]:
    """Show features by their first three principal components, as RGB.

    The components are those of all maps together (paper, Fig. 2, looks at
    the mask features of one model). The sign of a component means nothing;
    here each grows with the brightness of the image, so that colours do not
    flip from step to step.

    Args:
        feature_maps (Sequence[Tensor]): Each (C, h_i, w_i), C at least 3.
        pictures (Sequence[np.ndarray]): The images, RGB in [0, 1], each
            (H_i, W_i, 3).

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
    ends = np.cumsum([height * width for height, width in shapes])
    return [
        part.reshape(*shape, 3) for part, shape in zip(
            np.split(colours.clip(0, 1), ends[:-1]), shapes)
    ]
