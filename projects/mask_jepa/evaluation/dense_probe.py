import copy
import os
import os.path as osp
import zlib
from contextlib import nullcontext
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

import torch
from mmengine.dist import get_world_size
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, PixelData
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader

from ..models import join_levels
from ..utils import evaluating, fixed_seed, quiet_log
from .frozen_encoder import encode_levels
from .label_grid import count_classes, upsample_scores
from .probe_classifiers import ClusterProbe, NearestNeighborProbe, RidgeProbe


class DenseProbe:
    """Segment with frozen features, to see what they hold.

    A linear classifier and a k-nearest-neighbour one are fitted on the
    places of labelled images and predict those of other images; their scores
    are upsampled to the label maps. Nothing is learned by gradient and every
    choice is seeded, so equal weights give equal numbers; between batch sizes
    or numbers of processes up to the padding of images of different size.

    Args:
        fit_loader (DataLoader): Labelled images of an mmseg dataset, for the
            classifiers, in a fixed order and without random transforms.
        test_loader (DataLoader): The same of other images, to predict.
        evaluator (Evaluator): With mmseg's ``IoUMetric``.
        branch (str): 'online' or 'target'.
        levels (Sequence[str]): Of :func:`encode_levels`; 'c2+c3' are two,
            side by side as ``model.target_levels`` are. The first one is the
            headline.
        regularization (float): Of :class:`RidgeProbe`.
        num_neighbors (int): Of :class:`NearestNeighborProbe`.
        num_neighbor_places (int): Labelled places to compare with, and to
            cluster, the same number from each image.
        num_clusters (int, optional): Of :class:`ClusterProbe`; None is no
            such probe.
        progress (bool): Show a progress bar.

    Raises:
        ValueError: If there is no level, or too few images.
    """

    def __init__(self,
                 fit_loader: DataLoader,
                 test_loader: DataLoader,
                 evaluator: Evaluator,
                 branch: str = 'online',
                 levels: Sequence[str] = ('F_last', 'F_3', 'c4'),
                 regularization: float = 1e-3,
                 num_neighbors: int = 20,
                 num_neighbor_places: int = 10000,
                 num_clusters: Optional[int] = None,
                 progress: bool = False) -> None:
        if not levels:
            raise ValueError('The probe needs at least one level, such as '
                             'levels=["F_last"].')
        for name, loader in dict(
                fitting=fit_loader, testing=test_loader).items():
            if len(loader.dataset) < get_world_size():
                raise ValueError(
                    f'The probe has {len(loader.dataset)} images for {name}, '
                    f'but needs one for each of {get_world_size()} processes: '
                    'check data_root and data_prefix of its datasets.')
        self.fit_loader = fit_loader
        self.test_loader = test_loader
        self.evaluator = evaluator
        self.branch = branch
        self.levels = list(levels)
        self.regularization = regularization
        self.num_neighbors = num_neighbors
        self.places_per_image = max(
            num_neighbor_places // len(fit_loader.dataset), 1)
        self.num_clusters = num_clusters
        self.progress = progress
        self.num_classes = len(test_loader.dataset.metainfo['classes'])

    @torch.no_grad()
    def measure(self, model: nn.Module) -> Dict[str, float]:
        """Fit and test the classifiers on a model, which stays in its mode.

        Returns:
            dict[str, float]: In per cent, ``linear_mIoU`` and ``knn_mIoU`` of
            the first level, ``<level>_linear_mIoU`` and ``<level>_knn_mIoU``
            of the others; with clusters ``clusters_mIoU`` as well.
        """
        # Starting a data loader draws from torch's global generator.
        with evaluating(model), fixed_seed(0):
            return self._test(model, self._fit(model))

    def _encode(self, model: nn.Module, loader: DataLoader) -> Iterator[Tuple]:
        """Yield each sample, its levels, (C, h, w), and its input shape."""
        for batch in track(loader, 'Probe', disable=not self.progress):
            data = model.data_preprocessor(batch, False)
            levels = encode_levels(model, data['inputs'], self.branch)
            parts = {name: name.split('+') for name in self.levels}
            unknown = set().union(*parts.values()) - levels.keys()
            if unknown:
                raise ValueError(
                    f'The probe knows no level {", ".join(sorted(unknown))}: '
                    f'choose among {", ".join(levels)}.')
            joined = {
                name: join_levels([levels[part] for part in parts[name]])
                for name in self.levels
            }
            for index, sample in enumerate(data['data_samples']):
                maps = {name: joined[name][index] for name in self.levels}
                yield sample, maps, tuple(data['inputs'].shape[-2:])

    def _make_classifiers(self) -> Dict[str, Any]:
        classifiers = dict(
            linear=RidgeProbe(self.regularization),
            knn=NearestNeighborProbe(self.num_neighbors))
        if self.num_clusters is not None:
            classifiers['clusters'] = ClusterProbe(self.num_clusters)
        return classifiers

    def _fit(self, model: nn.Module) -> Dict[str, Dict]:
        """Fit all classifiers on each level."""
        classifiers = {name: self._make_classifiers() for name in self.levels}
        for sample, maps, input_shape in self._encode(model, self.fit_loader):
            generator = _image_generator(sample)
            labels = sample.gt_sem_seg.data.squeeze(0)
            for name, features in maps.items():
                counts = count_classes(labels, self.num_classes,
                                       sample.img_shape[:2], input_shape,
                                       features.shape[-2:]).to(features)
                labelled = counts.sum(1) > 0
                targets = counts[labelled] / counts[labelled].sum(1)[:, None]
                places = features.flatten(1).T[labelled]
                linear, *others = classifiers[name].values()
                linear.add(places, targets)
                chosen = torch.randperm(
                    len(places), generator=generator)[:self.places_per_image]
                chosen = chosen.to(places.device)
                for classifier in others:
                    classifier.add(places[chosen], targets[chosen])
        for kinds in classifiers.values():
            for classifier in kinds.values():
                classifier.fit()
        return classifiers

    def _test(self, model: nn.Module,
              classifiers: Dict[str, Dict]) -> Dict[str, float]:
        """Predict the test images, and evaluate each classifier."""
        evaluators = {
            (level, kind): copy.deepcopy(self.evaluator)
            for level, kinds in classifiers.items()
            for kind in kinds
        }
        for sample, maps, input_shape in self._encode(model, self.test_loader):
            label_shape = sample.gt_sem_seg.data.shape[-2:]
            for level, kind in evaluators:
                features = maps[level]
                scores = classifiers[level][kind].predict(
                    features.flatten(1).T)
                scores = scores.T.float().unflatten(1, features.shape[-2:])
                scores = upsample_scores(scores, sample.img_shape[:2],
                                         input_shape, label_shape)
                # On a CPU four times as fast as argmax.
                prediction = scores.max(dim=0, keepdim=True).indices
                sample.pred_sem_seg = PixelData(data=prediction)
                evaluators[level, kind].process([sample])
        metrics = {}
        headline = (self.levels[0], 'linear')
        for key, evaluator in evaluators.items():
            # Every evaluation prints a table; one is enough.
            with nullcontext() if key == headline else quiet_log():
                values = evaluator.evaluate(len(self.test_loader.dataset))
            level, kind = key
            prefix = '' if level == self.levels[0] else f'{level}_'
            metrics[f'{prefix}{kind}_mIoU'] = float(values['mIoU'])
        return metrics


def _image_generator(sample: BaseDataElement) -> torch.Generator:
    """Seed by the file name of an image, so the same in any order."""
    name = os.fsencode(osp.basename(sample.img_path))
    return torch.Generator().manual_seed(zlib.crc32(name))
