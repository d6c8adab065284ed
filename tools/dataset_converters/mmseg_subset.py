import os.path as osp
from typing import List, Set

import numpy as np
from mmengine.config import Config
from mmengine.fileio import get_file_backend
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from mmseg_source import training_dataset
from rich.progress import track

from projects.mask_jepa.utils import ATOMIC_LOCAL


class MMSegImages:
    """The labelled training images of a config of mmseg.

    Args:
        config (Config): With a ``train_dataloader``.

    Raises:
        FileNotFoundError: If the images are not there.
        ValueError: If the config trains on something else, or on a subset.
    """

    def __init__(self, config: Config) -> None:
        init_default_scope('mmseg')
        dataset_config = training_dataset(config)
        loaders = [
            step for step in dataset_config.get('pipeline', [])
            if step['type'] == 'LoadAnnotations'
        ]
        if not loaders:
            raise ValueError(
                'The data set that the config trains on has no '
                'LoadAnnotations in its pipeline: give a config of mmseg for '
                'semantic segmentation.')
        self.loader = TRANSFORMS.build(loaders[0])
        self.dataset = DATASETS.build(
            dict(dataset_config, pipeline=[], lazy_init=True))
        if not self.dataset.load_data_list():
            raise FileNotFoundError(
                f'There are no images *{self.dataset.img_suffix} in '
                f'{self.dataset.data_prefix["img_path"]}.')
        self.dataset.full_init()

    def __len__(self) -> int:
        return len(self.dataset)

    def classes(self) -> List[Set[int]]:
        """Look up what is in each image.

        Returns:
            list[set[int]]: Classes, without what is to be ignored.
        """
        found = []
        for index in track(range(len(self)), 'Reading labels'):
            labels = self.loader(
                self.dataset.get_data_info(index))['gt_seg_map']
            found.append(
                set(np.unique(labels).tolist()) - {self.dataset.ignore_index})
        return found

    def write(self, name: str, indices: List[int]) -> str:
        """List some images, as ``ann_file`` of the data set wants them.

        Args:
            name (str): Name of the subset.
            indices (list[int]): Of the images.

        Returns:
            str: The file, in the folder ``splits`` of the data root.
        """
        folder = self.dataset.data_prefix['img_path']
        lines = []
        for index in sorted(indices):
            path = self.dataset.get_data_info(index)['img_path']
            name_of_image = osp.relpath(path, folder)
            lines.append(name_of_image.removesuffix(self.dataset.img_suffix))
        split = osp.basename(osp.normpath(folder))
        path = osp.join(self.dataset.data_root or '', 'splits',
                        f'{split}_{name}.txt')
        backend = get_file_backend(backend_args=dict(backend=ATOMIC_LOCAL))
        backend.put_text('\n'.join(lines) + '\n', path)
        return path
