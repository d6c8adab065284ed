"""The two kinds of runs of an experiment: pretraining and fine-tuning."""
import copy
import hashlib
import json
import os
import os.path as osp
import re
from typing import List, NamedTuple, Optional, Tuple

import numpy as np
from mmengine.config import Config

from projects.mask_jepa.export import (export_weights, load_checkpoint,
                                       save_export)
from projects.mask_jepa.utils import stock_tool


class Pretraining:
    """One label-free training.

    Args:
        name (str): Of the experiment's entry.
        seed (int): Of its random numbers.
        library (str): Whose train tool runs it: 'mask_jepa' or 'mmpretrain'.
        config (Config): With the entry's options.
    """

    def __init__(self, name: str, seed: int, library: str,
                 config: Config) -> None:
        config = copy.deepcopy(config)
        config.randomness = dict(config.get('randomness', {}), seed=seed)
        self.name = name
        self.seed = seed
        self.library = library
        self.config = config
        self.digest = digest(config.to_dict())

    @property
    def images_seen(self) -> int:
        """int: Crops that the training draws."""
        return (self.config.train_cfg.max_iters *
                self.config.train_dataloader.batch_size)

    @property
    def title(self) -> str:
        """str: What the progress calls it."""
        return f'pretraining {self.name}, seed {self.seed}'

    @property
    def folder(self) -> str:
        """str: Name of its folder."""
        return f'pretrain_{slug(self.name)}_seed{self.seed}_{self.digest}'

    def prepare(self, folder: str) -> List[str]:
        """Write the config; give the command.

        A training of ours that was stopped goes on where it was, bit for bit.

        Args:
            folder (str): Work directory.

        Returns:
            list[str]: Arguments of the Python interpreter.
        """
        self.config.dump(osp.join(folder, 'config.py'))
        tool, resume = 'tools/train.py', ['--resume']
        if self.library != 'mask_jepa':
            tool, resume = stock_tool(self.library, 'train.py'), []
        return [
            tool,
            osp.join(folder, 'config.py'), '--work-dir', folder, *resume
        ]


class Initialization(NamedTuple):
    """What a fine-tuning takes over from a pretraining.

    Attributes:
        pretraining (Pretraining): Which one.
        branch (str): 'online' or 'target'; Mask-JEPA only.
        parts (tuple[str]): As for ``tools/export_pretrained.py``. Mask-JEPA
            only: of other pretrainings, the model takes what it knows, the
            backbone.
    """

    pretraining: Pretraining
    branch: str
    parts: Tuple[str, ...]

    def write(self, pretraining_folder: str, library: str, out: str) -> str:
        """Write the initial weights.

        Args:
            pretraining_folder (str): Work directory of the pretraining.
            library (str): That will load them: 'mmdet' or 'mmseg'.
            out (str): File to write.

        Returns:
            str: The file to load.
        """
        with open(osp.join(pretraining_folder, 'last_checkpoint')) as file:
            source = osp.join(pretraining_folder, osp.basename(file.read()))
        if self.pretraining.library != 'mask_jepa':
            return source
        export = export_weights(
            load_checkpoint(source)['state_dict'], library, self.branch,
            self.parts)
        save_export(export, out, library, self.branch, source)
        return out


class Task(NamedTuple):
    """What is trained with labels.

    Attributes:
        name (str): Of the experiment's entry.
        config (Config): With the entry's options.
        library (str): Whose train tool runs it: 'mmdet' or 'mmseg'.
        metric (str): The score, as the library logs it.
        scale (float): What the score is multiplied with.
        num_images (int): Labelled images in all.
    """

    name: str
    config: Config
    library: str
    metric: str
    scale: float
    num_images: int


class Finetuning:
    """One training with labels, by the library's own train tool.

    Seed, labelled images, their order and the schedule do not depend on the
    arm, and neither do the initial weights of what was not pretrained.

    Args:
        arm (str): Name of the experiment's entry.
        task (Task): What is trained.
        fraction (float): Share of the labelled images, in (0, 1].
        seed (int): Of the random numbers, and of the choice of images.
        initialization (Initialization, optional): None: random weights.
    """

    def __init__(self, arm: str, task: Task, fraction: float, seed: int,
                 initialization: Optional[Initialization]) -> None:
        config = copy.deepcopy(task.config)
        images = choose_images(task.num_images, fraction, seed)
        dataset = config.train_dataloader.dataset
        if isinstance(dataset.get('indices'), list):
            # Of the images that the task leaves to choose from.
            images = [dataset.indices[index] for index in images]
        dataset.indices = images
        config.randomness = dict(config.get('randomness', {}), seed=seed)
        config.model.init_cfg = None
        # By epoch, mmdet would log every validation at step 0.
        config.merge_from_dict(
            {'default_hooks.logger.log_metric_by_epoch': False})
        self.arm = arm
        self.task = task
        self.seed = seed
        self.config = config
        self.num_labels = len(images)
        self.initialization = initialization
        origin = initialization and (initialization.pretraining.digest,
                                     initialization.branch,
                                     initialization.parts)
        self.digest = digest(
            [config.to_dict(), origin, task.metric, task.scale])

    @property
    def pretraining(self) -> Optional[Pretraining]:
        """Pretraining: What has to be done before."""
        return self.initialization and self.initialization.pretraining

    @property
    def title(self) -> str:
        """str: What the progress calls it."""
        return (f'{self.task.name}, {self.num_labels} labels, {self.arm}, '
                f'seed {self.seed}')

    @property
    def folder(self) -> str:
        """str: Name of its folder."""
        return (f'finetune_{slug(self.task.name)}_{self.num_labels}-labels_'
                f'{slug(self.arm)}_seed{self.seed}_{self.digest}')

    def prepare(self, folder: str, pretraining_folder: str = '') -> List[str]:
        """Write config and initial weights; give the command.

        Args:
            folder (str): Work directory.
            pretraining_folder (str): Work directory of the pretraining.
                Defaults to '', for random weights.

        Returns:
            list[str]: Arguments of the Python interpreter.
        """
        config = self.config
        if self.initialization:
            weights = self.initialization.write(
                pretraining_folder, self.task.library,
                osp.join(folder, 'initial_weights.pth'))
            config.model.init_cfg = dict(
                type='Pretrained', checkpoint=weights)
        config.dump(osp.join(folder, 'config.py'))
        return [
            stock_tool(self.task.library, 'train.py'),
            osp.join(folder, 'config.py'), '--work-dir', folder
        ]


def choose_images(num_images: int, fraction: float, seed: int) -> List[int]:
    """Choose the labelled images; fewer are always part of more.

    Args:
        num_images (int): Images in all.
        fraction (float): Share to choose, in (0, 1]; at least one image.
        seed (int): Another seed chooses other images.

    Returns:
        list[int]: Indices, ascending.
    """
    order = np.random.default_rng(seed).permutation(num_images)
    count = max(round(fraction * num_images), 1)
    return sorted(order[:count].tolist())


def digest(content: object) -> str:
    """Name what a run consists of, wherever the data lie.

    Args:
        content (object): Lists, dicts and plain values.

    Returns:
        str: Ten hexadecimal digits.
    """
    text = json.dumps(content, sort_keys=True, default=str)
    data = json.dumps(os.environ.get('MASK_JEPA_DATA', '../shared/data'))
    # Only where a value begins: the folder may be called `data`, as half of
    # the keys are.
    text = re.sub(
        re.escape(data[:-1]) + '(?=/|"(?!:))', '"MASK_JEPA_DATA', text)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def slug(name: str) -> str:
    """Make a name fit for a folder.

    Args:
        name (str): Any.

    Returns:
        str: Lower case letters, digits and hyphens.
    """
    return re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')
