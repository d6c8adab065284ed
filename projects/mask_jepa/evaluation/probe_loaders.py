import copy
from typing import Dict, Optional

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
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
            images, evenly spread; None uses all. Defaults to None.

    Returns:
        dict[str, DataLoader]: 'fit' and 'test', in a fixed order.

    Raises:
        FileNotFoundError: If a folder is missing.
    """
    while 'dataset' in train_dataset:  # RepeatDataset and the like
        train_dataset = train_dataset['dataset']
    test_dataset = test_loader['dataset']
    train_dataset = dict(train_dataset, pipeline=test_dataset['pipeline'])
    return {
        name: Runner.build_dataloader(
            dict(
                copy.deepcopy(test_loader),
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=build_dataset(dataset, max_images)))
        for name, dataset in dict(fit=train_dataset,
                                  test=test_dataset).items()
    }


def build_dataset(config: dict, max_images: Optional[int]) -> BaseDataset:
    """Build a data set of mmseg, or a part of it.

    Args:
        config (dict): Names are looked up in mmseg.
        max_images (int, optional): As above.

    Returns:
        BaseDataset: The data set.
    """
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
