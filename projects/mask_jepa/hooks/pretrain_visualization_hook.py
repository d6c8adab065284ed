import copy
import os
import os.path as osp
import time
from typing import Optional

import numpy as np
import torch
from mmdet.registry import DATASETS, HOOKS
from mmdet.structures import SampleList
from mmengine.dataset import BaseDataset
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from ..engine import cropped_as_training, is_unlabeled
from ..models.step_random import first_step
from ..utils import note_monitoring_seconds, unwrap
from ..visualization import MAX_CLUSTERS, draw_pretraining, fixed_batch

CLUSTERS = 'pretraining_clusters'


@HOOKS.register_module()
class PretrainVisualizationHook(Hook):
    """Draw what the model sees and makes of a few fixed images.

    One sheet before the first iteration, one at each interval and one at the
    end, each of the same images with the same hidden places and noise, so
    that sheets can be compared. The Runner's visualizer hands them to its
    ``vis_backends``: a PNG in ``vis_data/vis_image``, TensorBoard, WandB. The
    training is left as it would have been, bit for bit.

    Args:
        interval (int): Iterations between two sheets. Defaults to 1000.
        num_images (int): Rows of the sheet; the images are evenly spread
            over the dataset. Defaults to 4.
        dataset (dict, optional): Config of the dataset; None takes that of
            ``test_dataloader`` or, where it has no image, the training
            images through the same pipeline. Defaults to None.
        num_clusters (int): Colours of the k-means maps, in [2, 20].
            Defaults to 8.
        test_out_dir (str, optional): Folder for sheets of all images of a
            test, one a batch, as ``tools/test.py --show-dir`` sets it.
            Defaults to None: none are drawn.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    # After the target has moved, before the checkpoint is written.
    priority = 'LOW'

    def __init__(self,
                 interval: int = 1000,
                 num_images: int = 4,
                 dataset: Optional[dict] = None,
                 num_clusters: int = 8,
                 test_out_dir: Optional[str] = None) -> None:
        for name, value in dict(
                interval=interval, num_images=num_images).items():
            if value < 1:
                raise ValueError(f'default_hooks.visualization.{name} must '
                                 f'be at least 1, but is {value}.')
        if not 2 <= num_clusters <= MAX_CLUSTERS:
            raise ValueError(
                'default_hooks.visualization.num_clusters must lie in '
                f'[2, {MAX_CLUSTERS}], but is {num_clusters}.')
        self.interval = interval
        self.num_images = num_images
        self.dataset = dataset
        self.num_clusters = num_clusters
        self.test_out_dir = test_out_dir

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Load the images (a ValueError if there are none), and draw the
        untrained model."""
        self._batch = self._load(runner)
        if runner.iter == 0:
            self._draw(runner, 0)

    @master_only
    def after_train_iter(self, runner: Runner, **kwargs) -> None:
        """Draw at each interval and at the end."""
        if (self.every_n_train_iters(runner, self.interval)
                or self.is_last_train_iter(runner)):
            self._draw(runner, runner.iter + 1)

    @master_only
    def after_test_iter(self,
                        runner: Runner,
                        batch_idx: int,
                        data_batch: Optional[dict] = None,
                        outputs: Optional[SampleList] = None) -> None:
        """Draw a batch of the test."""
        if self.test_out_dir is None:
            return
        sheet = self._make_sheet(runner, outputs)
        os.makedirs(self.test_out_dir, exist_ok=True)
        Image.fromarray(sheet).save(
            osp.join(self.test_out_dir, f'{batch_idx:05d}.png'))

    def _load(self, runner: Runner) -> dict:
        """Load the images: own ones, else those for testing or training."""
        test = (runner.cfg.get('test_dataloader') or {}).get('dataset') or {}
        train_root = runner.cfg.train_dataloader.dataset.get('data_root')
        configs = {
            'test_dataloader.dataset': test,
            # Without the random crops of the training.
            'train_dataloader.dataset':
            dict(test, data_root=train_root) if test and train_root else {}
        }
        if self.dataset is not None:
            configs = {'default_hooks.visualization.dataset': self.dataset}
        measured = getattr(runner.train_dataloader.dataset, 'value_range',
                           None)
        for key, config in configs.items():
            config = config and cropped_as_training(config, runner.cfg)
            if measured and is_unlabeled(config) and isinstance(
                    config.get('value_range', ''), str):
                config = dict(config, value_range=measured)
            dataset = find_images(config)
            if dataset:
                runner.logger.info(f'The pictures show images of {key}.')
                return fixed_batch(dataset, self.num_images)
        raise ValueError(
            'PretrainVisualizationHook finds no image to draw in '
            f'{" or ".join(configs)}: give test_dataloader.dataset a '
            'data_root with images, or the hook a dataset of its own '
            '(default_hooks.visualization.dataset).')

    def _draw(self, runner: Runner, step: int) -> None:
        """Hand one sheet to the visualizer."""
        start = time.perf_counter()
        model = unwrap(runner.model)
        with first_step(model), torch.no_grad():
            samples = model.test_step(copy.deepcopy(self._batch))
        runner.visualizer.add_image('pretraining',
                                    self._make_sheet(runner, samples), step)
        note_monitoring_seconds(runner.message_hub, 'pictures',
                                time.perf_counter() - start)

    def _make_sheet(self, runner: Runner, samples: SampleList) -> np.ndarray:
        """Draw samples, in the colours of the sheet before."""
        reference = runner.message_hub.runtime_info.get(CLUSTERS)
        preprocessor = unwrap(runner.model).data_preprocessor
        sheet, clusters = draw_pretraining(
            samples, preprocessor.mean, preprocessor.std, self.num_clusters,
            None if reference is None else reference.cpu().numpy())
        runner.message_hub.update_info(CLUSTERS, torch.from_numpy(clusters))
        return sheet


def find_images(config: dict) -> Optional[BaseDataset]:
    """Build a dataset; None where its folder is missing or empty."""
    if not config:
        return None
    config = dict(copy.deepcopy(config), lazy_init=True)
    dataset = DATASETS.build(config)
    try:
        dataset.full_init()
    except (FileNotFoundError, ValueError):  # no folder, no image
        return None
    return dataset
