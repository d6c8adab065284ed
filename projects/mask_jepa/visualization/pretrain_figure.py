from typing import Dict, List, Optional, Sequence, Tuple

import mmcv
import numpy as np
import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from ..losses import prediction_error
from .clusters import cluster_features, cluster_pixels, match_clusters
from .colours import (MAX_CLUSTERS, MAX_ERROR, colour_clusters, colour_error,
                      colour_query_masks, principal_components)
from .pictures import cover_hidden, outline_hidden, to_picture
from .sheet import draw_sheet


def draw_inputs(images: Tensor,
                hidden: Tensor,
                noisy_images: Tensor,
                mean: Tensor,
                std: Tensor,
                titles: Sequence[str],
                panel_size: int = 200) -> np.ndarray:
    """Show a batch as the model sees it, one image a row.

    Args:
        images (Tensor): Normalised clean images, (B, 3, H, W).
        hidden (Tensor): Bool, (B, 1, h, w).
        noisy_images (Tensor): What the online encoder sees, (B, 3, H, W).
        mean (Tensor): Of the data preprocessor, (3, 1, 1).
        std (Tensor): Of the data preprocessor, (3, 1, 1).
        titles (Sequence[str]): One for each image.
        panel_size (int): Longest side of a picture on the sheet, in pixels.
            Defaults to 200.

    Returns:
        np.ndarray: The sheet, RGB, uint8, (H, W, 3).
    """
    columns = _input_columns(images, hidden[:, 0], noisy_images, mean, std)
    return draw_sheet(
        list(zip(*columns.values())), list(columns), titles, panel_size)


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
    columns = _input_columns(*(
        torch.stack([sample.get(field) for sample in samples])
        for field in ('clean_image', 'hidden', 'noisy_image')), mean, std)
    clean = columns['clean image']
    target = cluster_features([sample.target_features for sample in samples],
                              num_clusters)
    online = cluster_features([sample.mask_features for sample in samples],
                              num_clusters)
    shapes = [clusters.shape for clusters in target]
    if reference is None or reference.shape != (len(target), *shapes[0]):
        reference = cluster_pixels(clean, shapes, num_clusters)
    target = match_clusters(target, reference, num_clusters)
    online = match_clusters(online, target, num_clusters)

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


def _input_columns(images: Tensor, hidden: Tensor, noisy_images: Tensor,
                   mean: Tensor, std: Tensor) -> Dict[str, List[np.ndarray]]:
    """Show what of the images the online encoder sees."""
    clean = [to_picture(image, mean, std) for image in images]
    return {
        'clean image': clean,
        f'hidden places ({hidden.float().mean():.0%})':
        [cover_hidden(*pair) for pair in zip(clean, hidden)],
        'noisy input': [to_picture(image, mean, std)
                        for image in noisy_images]
    }


def _draw_error(sample: DetDataSample, size: Sequence[int]) -> np.ndarray:
    """Show where the prediction is off, with the hidden places outlined."""
    error = prediction_error(sample.prediction, sample.target_on_grid)
    error = error.cpu().numpy()
    height, width = size
    heat = mmcv.imresize(
        colour_error(error), (width, height), interpolation='nearest')
    return outline_hidden(heat, sample.hidden)
