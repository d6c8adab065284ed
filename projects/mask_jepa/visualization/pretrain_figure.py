from typing import Optional, Sequence, Tuple

import mmcv
import numpy as np
from mmdet.structures import DetDataSample
from torch import Tensor

from ..losses import prediction_error
from .clusters import (MAX_CLUSTERS, cluster_features, cluster_pixels,
                       colour_clusters, match_clusters)
from .error_colours import MAX_ERROR, colour_error
from .hidden_places import cover_hidden, outline_hidden
from .principal_components import principal_components
from .query_masks import colour_query_masks
from .sheet import draw_sheet
from .to_picture import to_picture


def draw_pretraining(
        samples: Sequence[DetDataSample],
        mean: Tensor,
        std: Tensor,
        num_clusters: int = 8,
        reference: Optional[np.ndarray] = None
) -> Tuple[np.ndarray, np.ndarray]:
    """Show what the model sees and makes of it, one image a row.

    Args:
        samples (Sequence[DetDataSample]): From ``MaskJEPA.predict``, all of
            one size.
        mean (Tensor): Of the data preprocessor, (3, 1, 1).
        std (Tensor): Of the data preprocessor, (3, 1, 1).
        num_clusters (int): Colours of the k-means maps, at most 20.
            Defaults to 8.
        reference (np.ndarray, optional): Clusters of an earlier sheet of the
            same images, whose colours are kept; None takes clusters of the
            pixels. Defaults to None.

    Returns:
        tuple[np.ndarray, np.ndarray]:

        - The sheet, RGB, uint8, (H, W, 3).
        - The clusters of the target's F_last, for the next sheet,
          (B, h, w).
    """
    clean = [to_picture(sample.clean_image, mean, std) for sample in samples]
    target = cluster_features([sample.target_features for sample in samples],
                              num_clusters)
    online = cluster_features([sample.mask_features for sample in samples],
                              num_clusters)
    shapes = [clusters.shape for clusters in target]
    if reference is None or reference.shape != (len(target), *shapes[0]):
        reference = cluster_pixels(clean, shapes, num_clusters)
    target = match_clusters(target, reference, num_clusters)
    online = match_clusters(online, target, num_clusters)

    columns = {'clean image': clean}
    columns['hidden places'] = [
        cover_hidden(picture, sample.hidden)
        for picture, sample in zip(clean, samples)
    ]
    columns['noisy input'] = [
        to_picture(sample.noisy_image, mean, std) for sample in samples
    ]
    if 'reconstruction' in samples[0]:
        columns['reconstruction'] = [
            to_picture(sample.reconstruction, mean, std) for sample in samples
        ]
    for branch, clusters in dict(online=online, target=target).items():
        columns[f'F_last {branch}, k-means'] = [
            colour_clusters(part, num_clusters) for part in clusters
        ]
    for name, field in dict(
            target='prototypes', masks='predicted_prototypes').items():
        if field in samples[0]:
            columns[f'prototypes, {name}'] = [
                colour_clusters(
                    sample.get(field).cpu().numpy() % MAX_CLUSTERS,
                    MAX_CLUSTERS) for sample in samples
            ]
    for level in range(len(samples[0].memory)):
        columns[f'F_{level + 1}, PCA as RGB'] = principal_components(
            [sample.memory[level] for sample in samples], clean)
    columns['query masks (grey: shared)'] = [
        colour_query_masks(sample.mask_weights) for sample in samples
    ]
    columns[f'prediction error (0 to {MAX_ERROR}), hidden outlined'] = [
        _draw_error(sample, picture.shape[:2])
        for sample, picture in zip(samples, clean)
    ]
    sheet = draw_sheet(list(zip(*columns.values())), list(columns))
    return sheet, np.stack(target)


def _draw_error(sample: DetDataSample, size: Sequence[int]) -> np.ndarray:
    """Show where the prediction is off, with the hidden places outlined."""
    error = prediction_error(sample.prediction, sample.target_on_grid)
    error = error.cpu().numpy()
    height, width = size
    heat = mmcv.imresize(
        colour_error(error), (width, height), interpolation='nearest')
    return outline_hidden(heat, sample.hidden)
