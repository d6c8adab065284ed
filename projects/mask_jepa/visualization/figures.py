from typing import Dict, List, Optional, Sequence, Tuple

import mmcv
import numpy as np
import torch
from matplotlib.figure import Figure
from mmdet.structures import DetDataSample
from torch import Tensor

from ..losses import prediction_error
from .clusters import cluster_features, cluster_pixels, match_clusters
from .colours import (MAX_CLUSTERS, MAX_ERROR, colour_clusters, colour_error,
                      colour_query_masks, principal_components)
from .pictures import cover_hidden, outline_hidden, to_picture
from .sheet import draw_sheet

# What is drawn of the health of a run, and how to read it.
HEALTH_PANELS = dict(
    loss_jepa='JEPA loss (weighted)',
    target_std='spread of the target (1 isotropic, 0 collapsed)',
    target_rank='effective rank of the target',
    target_cosine_between='cosine between images (1: all alike)',
    queries_used='share of the queries that own a place',
    leak='leak (0: nothing hidden is seen)')


def draw_inputs(images: Tensor, hidden: Tensor, noisy_images: Tensor,
                mean: Tensor, std: Tensor,
                titles: Sequence[str]) -> np.ndarray:
    """Show a batch as the model sees it, one image a row.

    Args:
        images (Tensor): Normalised clean images, (B, 3, H, W).
        hidden (Tensor): Bool, (B, 1, h, w).
        noisy_images (Tensor): What the online encoder sees, (B, 3, H, W).
        mean (Tensor): Of the data preprocessor, (3, 1, 1), like ``std``.
        titles (Sequence[str]): One for each image.

    Returns:
        np.ndarray: The sheet, RGB, uint8, (H, W, 3).
    """
    columns = _input_columns(images, hidden[:, 0], noisy_images, mean, std)
    return draw_sheet(
        list(zip(*columns.values())), list(columns), titles, panel_size=200)


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
        mean (Tensor): Of the data preprocessor, (3, 1, 1), like ``std``.
        num_clusters (int): Colours of the k-means maps, at most 20.
        reference (np.ndarray, optional): Clusters of an earlier sheet of the
            same images, whose colours are kept; None takes clusters of the
            pixels.

    Returns:
        tuple: The sheet, RGB, uint8, (H, W, 3), and the clusters of the
        target's features, (B, h, w), for the next sheet.
    """
    columns = _input_columns(
        *(torch.stack([sample.get(field) for sample in samples])
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
    for name, clusters in {'F_last online': online, 'target': target}.items():
        columns[f'{name}, k-means'] = [
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


def draw_features(pictures: Sequence[np.ndarray],
                  titles: Sequence[str],
                  mask_features: Dict[str, List[Tensor]],
                  num_clusters: int = 8) -> np.ndarray:
    """Compare the mask features of models, one image a column.

    Below the images, two rows a model: F_last clustered by k-means (paper,
    Fig. 5), and its principal components as RGB (after Fig. 2).

    Args:
        pictures (Sequence[np.ndarray]): RGB in [0, 1], each (H_i, W_i, 3).
        titles (Sequence[str]): One for each image.
        mask_features (dict[str, list[Tensor]]): F_last of each image, each
            (C, H_i/4, W_i/4), by the name of the model.
        num_clusters (int): Colours of the k-means maps, at most 20.

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
    return draw_sheet(list(rows.values()), titles, list(rows), panel_size=240)


def draw_health(runs: Dict[str, Dict[int, Dict[str, float]]]) -> Figure:
    """Draw what tells a healthy run from a collapsed one.

    The runs are training logs by iteration, by the name of the run.
    """
    figure = Figure(figsize=(12, 6), layout='constrained')
    axes = figure.subplots(2, 3).ravel()
    for axis, (key, title) in zip(axes, HEALTH_PANELS.items()):
        for name, rows in runs.items():
            values = {
                step: row[key]
                for step, row in rows.items() if row.get(key) is not None
            }
            axis.plot(
                list(values), list(values.values()), label=name, linewidth=1.5)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel('iteration', fontsize=8)
        axis.tick_params(labelsize=8)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc='outside lower center',
        ncols=min(len(runs), 4),
        fontsize=9)
    return figure


def _input_columns(images: Tensor, hidden: Tensor, noisy_images: Tensor,
                   mean: Tensor, std: Tensor) -> Dict[str, List[np.ndarray]]:
    """Show what of the images the online encoder sees."""
    clean = [to_picture(image, mean, std) for image in images]
    return {
        'clean image':
        clean,
        f'hidden places ({hidden.float().mean():.0%})':
        [cover_hidden(*pair) for pair in zip(clean, hidden)],
        'noisy input':
        [to_picture(image, mean, std) for image in noisy_images]
    }


def _draw_error(sample: DetDataSample, size: Sequence[int]) -> np.ndarray:
    """Show where the prediction is off, with the hidden places outlined."""
    error = prediction_error(sample.prediction, sample.target_on_grid)
    error = error.cpu().numpy()
    height, width = size
    heat = mmcv.imresize(
        colour_error(error), (width, height), interpolation='nearest')
    return outline_hidden(heat, sample.hidden)
