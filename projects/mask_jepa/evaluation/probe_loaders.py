import copy
from typing import Dict, List, Optional, Union

from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, METRICS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..utils import evenly_spread


def build_probe_loaders(
        test_loader: dict,
        train_dataset: dict,
        max_images: Optional[int] = None) -> Dict[str, DataLoader]:
    """Build both data loaders of a probe from an mmseg config.

    Args:
        test_loader (dict): Its ``val_dataloader``.
        train_dataset (dict): Its ``train_dataloader.dataset``. The pipeline
            is replaced by that of ``test_loader``.
        max_images (int, optional): Of each data set, use at most so many
            images, evenly spread; None uses all.

    Returns:
        dict[str, DataLoader]: 'fit' and 'test', in a fixed order.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If the training images are several data sets.
    """
    while 'dataset' in train_dataset:  # RepeatDataset and the like
        train_dataset = train_dataset['dataset']
    if 'datasets' in train_dataset:
        raise ValueError(
            'The probe fits on one data set, but val_cfg.train_dataset is a '
            f'{train_dataset["type"]}: give one of its datasets.')
    test_dataset = test_loader['dataset']
    train_dataset = dict(train_dataset, pipeline=test_dataset['pipeline'])

    def build(dataset: dict, round_up: bool) -> DataLoader:
        return Runner.build_dataloader(
            dict(
                copy.deepcopy(test_loader),
                # Between two probes they would only take memory.
                persistent_workers=False,
                sampler=dict(
                    type='DefaultSampler', shuffle=False, round_up=round_up),
                dataset=_build_dataset(dataset, max_images)))

    # The metric drops what is tested twice; the classifiers would not.
    return dict(
        fit=build(train_dataset, round_up=False),
        test=build(test_dataset, round_up=True))


def build_probe_evaluator(config: Union[dict, List[dict]],
                          dataset: BaseDataset) -> Evaluator:
    """Build the evaluator of a probe, to be copied for each classifier.

    Args:
        config (dict | list[dict]): ``val_evaluator`` of an mmseg config;
            whatever its ``IoUMetric`` measures there, here it is mIoU.
        dataset (BaseDataset): What is tested.
    """
    metrics = config if isinstance(config, (list, tuple)) else [config]
    evaluator = Evaluator([
        METRICS.build(dict(metric, iou_metrics=['mIoU'], _scope_='mmseg'))
        for metric in metrics
    ])
    evaluator.dataset_meta = dataset.metainfo
    return evaluator


def _build_dataset(config: dict, max_images: Optional[int]) -> BaseDataset:
    """Build a data set of mmseg, or a part of it."""
    # The default scope of a pretraining is mmdet.
    try:
        dataset = DATASETS.build(dict(copy.deepcopy(config), _scope_='mmseg'))
        dataset.full_init()
    except FileNotFoundError as error:
        raise FileNotFoundError('There are no labelled images at '
                                f'{error.filename}.') from error
    if max_images is not None:
        dataset.get_subset_(evenly_spread(len(dataset), max_images))
    return dataset
