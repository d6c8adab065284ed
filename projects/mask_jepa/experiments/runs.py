import copy
import hashlib
import json
import os.path as osp
import re
from typing import Iterable, List, NamedTuple, Optional

from mmengine.config import Config

from ..utils import stock_tool
from ..weights import PARTS, export_weights, load_checkpoint, save_export
from .choice import choose_images
from .data_files import data_root, digest_files

# What of a config changes weights or scores. The rest (names of modules, what
# watches a run) changes from release to release, and results stay as they are.
COUNTING_KEYS = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper',
                 'param_scheduler', 'randomness', 'custom_hooks',
                 'val_dataloader', 'val_evaluator')
COUNTING_HOOKS = ('target', 'query_noise')


class Pretraining:
    """One label-free training.

    Its library, whose train tool runs it, is 'mask_jepa' or 'mmpretrain'.
    """

    def __init__(self, name: str, seed: int, library: str,
                 config: Config) -> None:
        self.name = name
        self.seed = seed
        self.library = library
        self.config = copy.deepcopy(config)
        self.config.randomness = dict(config.get('randomness', {}), seed=seed)
        counting = what_counts(self.config)
        if library == 'mmpretrain':
            # It stands beside the model there.
            counting['data_preprocessor'] = config.get('data_preprocessor')
        if (config.get('auto_scale_lr') or {}).get('enable'):
            counting['auto_scale_lr'] = dict(config.auto_scale_lr)
        self.digest = digest(counting)

    @property
    def images_seen(self) -> int:
        """Number of crops that the training draws."""
        return (self.config.train_cfg.max_iters *
                self.config.train_dataloader.batch_size)

    @property
    def title(self) -> str:
        """What the progress calls it."""
        return f'pretraining {self.name}, seed {self.seed}'

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f'pretrain_{slug(self.name)}_seed{self.seed}_{self.digest}'

    @property
    def data(self) -> str:
        """Of :func:`digest_files`."""
        return digest_files(what_counts(self.config))

    def prepare(self, folder: str) -> List[str]:
        """Write the config; give the arguments of the Python interpreter.

        A training of ours that was stopped goes on where it was, bit for bit.
        """
        if self.library == 'mask_jepa':
            return _command('tools/train.py', self.config,
                            folder) + ['--resume']
        return _command(
            stock_tool(self.library, 'train.py'), self.config, folder)


class Task(NamedTuple):
    """What is trained with labels."""

    name: str  # of the experiment's entry
    config: Config  # with the entry's options
    library: str  # whose train tool runs it: 'mmdet' or 'mmseg'
    metric: str  # the score, as the library logs it
    scale: float  # what the score is multiplied with
    num_images: int  # labelled images in all


class Finetuning:
    """One training with labels, by the library's own train tool.

    Seed, labelled images, their order and the schedule do not depend on the
    arm, and neither do the initial weights of what was not pretrained.

    Args:
        arm (str): Name of the experiment's entry.
        task (Task): What is trained.
        fraction (float): Share of the labelled images, in (0, 1].
        seed (int): Of the random numbers, and of the choice of images.
        pretraining (Pretraining, optional): None: the initial weights of the
            task's config.
        branch (str): 'online' or 'target'; Mask-JEPA only.
        parts (Iterable[str]): As for ``tools/export_pretrained.py``.
            Mask-JEPA only: of other pretrainings, the model takes what it
            knows, the backbone.
        options (dict, optional): As for ``--cfg-options``, of this arm alone.

    Raises:
        ValueError: If the options do not fit.
    """

    def __init__(self,
                 arm: str,
                 task: Task,
                 fraction: float,
                 seed: int,
                 pretraining: Optional[Pretraining] = None,
                 branch: str = 'online',
                 parts: Iterable[str] = PARTS,
                 options: Optional[dict] = None) -> None:
        config = copy.deepcopy(task.config)
        if options:
            merge_options(config, options)
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
        self.pretraining = pretraining
        self.branch = branch
        self.parts = tuple(parts)
        origin = pretraining and (pretraining.digest, branch, self.parts)
        self.digest = digest(
            [what_counts(config), origin, task.metric, task.scale])

    @property
    def title(self) -> str:
        """What the progress calls it."""
        return (f'{self.task.name}, {self.num_labels} labels, {self.arm}, '
                f'seed {self.seed}')

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return (f'finetune_{slug(self.task.name)}_{self.num_labels}-labels_'
                f'{slug(self.arm)}_seed{self.seed}_{self.digest}')

    @property
    def data(self) -> str:
        """Of :func:`digest_files`."""
        return digest_files(what_counts(self.config))

    def prepare(self, folder: str, pretraining_folder: str = '') -> List[str]:
        """Write config and initial weights, from the pretraining's folder.

        Returns:
            list[str]: Arguments of the Python interpreter.
        """
        if self.pretraining:
            # After the initial weights of the config, which those parts keep
            # that were not pretrained.
            self.config.load_from = self._initial_weights(
                folder, pretraining_folder)
        return _command(
            stock_tool(self.task.library, 'train.py'), self.config, folder)

    def _initial_weights(self, folder: str, pretraining_folder: str) -> str:
        with open(osp.join(pretraining_folder, 'last_checkpoint')) as file:
            source = osp.join(pretraining_folder, osp.basename(file.read()))
        if self.pretraining.library != 'mask_jepa':
            return source
        out = osp.join(folder, 'initial_weights.pth')
        export = export_weights(
            load_checkpoint(source)['state_dict'], self.task.library,
            self.branch, self.parts)
        save_export(export, out, self.task.library, self.branch, source)
        return out


def merge_options(config: Config, options: dict) -> None:
    """Merge ``--cfg-options``; a ValueError if they do not fit."""
    try:
        config.merge_from_dict(dict(options))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f'options do not fit {config.filename}: {error}')


def _command(tool: str, config: Config, folder: str) -> List[str]:
    path = osp.join(folder, 'config.py')
    config.dump(path)
    return [tool, path, '--work-dir', folder]


def what_counts(config: Config) -> dict:
    """Choose what of a config changes weights or scores."""
    hooks = config.get('default_hooks', {})
    chosen = {key: config.get(key) for key in COUNTING_KEYS}
    chosen.update((name, hooks.get(name)) for name in COUNTING_HOOKS)
    return Config(chosen).to_dict()


def digest(content: object) -> str:
    """Name what a run consists of, wherever the data lie.

    Returns:
        str: Ten hexadecimal digits.
    """
    text = json.dumps(content, sort_keys=True, default=str)
    data = json.dumps(data_root())
    # Only where a value begins: the folder may be called `data`, as half of
    # the keys are.
    text = re.sub(
        re.escape(data[:-1]) + '(?=/|"(?!:))', '"MASK_JEPA_DATA', text)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def slug(name: str) -> str:
    """Make a name fit for a folder: lower case, digits and hyphens."""
    return re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')
