import os.path as osp

from mmengine.config import Config, ConfigDict
from mmengine.fileio import isdir
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from subset_names import names_subset


def training_dataset(config: Config) -> ConfigDict:
    """Find the one data set that a config of mmseg trains on.

    Args:
        config (Config): With a ``train_dataloader``.

    Returns:
        ConfigDict: Config of the data set, without what repeats it.

    Raises:
        FileNotFoundError: If its images or their list are not there.
        ValueError: If it is none of which a list of images is a subset.
    """
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    while dataset and 'dataset' in dataset:  # Repeated.
        dataset = dataset['dataset']
    if not dataset:
        raise ValueError('The config has no train_dataloader with a data set: '
                         'give a config of mmseg that trains.')
    if 'datasets' in dataset:
        raise ValueError(
            'The config joins several data sets, while a list of images is '
            'read by one: give a config of mmseg that trains on one of them.')
    _check_kind(dataset, config.get('default_scope') or 'mmseg')
    _check_files(dataset)
    return dataset


def _check_kind(dataset: ConfigDict, scope: str) -> None:
    """Refuse what is no data set of mmseg with a class for each pixel."""
    kind = dataset['type']
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(scope) as registry:
            kind = registry.get(kind)
    # Parts of configs have no scope, and mmdet has a CityscapesDataset too.
    of_coco = (dataset.get('ann_file') or '').endswith('.json')
    if of_coco or kind is None or not issubclass(kind, BaseSegDataset):
        name = getattr(dataset['type'], '__name__', dataset['type'])
        raise ValueError(
            f'The config trains on {name}, which is no data set of mmseg for '
            "semantic segmentation: for labels of COCO's form give the "
            'annotation file.')


def _check_files(dataset: ConfigDict) -> None:
    """Refuse a list that is a subset, and files that are not there."""
    root = dataset.get('data_root') or ''
    ann_file = dataset.get('ann_file')
    if ann_file:
        ann_file = osp.join(root, ann_file)
        folder, name = osp.split(ann_file)
        if osp.basename(folder) == 'splits' and names_subset(
                osp.splitext(name)[0]):
            raise ValueError(
                f'The config trains on {ann_file}, which is a subset itself: '
                'give a config that trains on the whole data set.')
        if not osp.exists(ann_file):
            raise FileNotFoundError(
                f'There is no list of images at {ann_file}, where the config '
                'has it: correct its data_root or ann_file.')
    folder = osp.join(root, dataset.get('data_prefix', {}).get('img_path', ''))
    # Without a folder the list has whole paths.
    if folder and not isdir(folder, dataset.get('backend_args')):
        raise FileNotFoundError(
            f'There is no folder of images at {folder}, where the config has '
            'it: correct its data_root or data_prefix.')
