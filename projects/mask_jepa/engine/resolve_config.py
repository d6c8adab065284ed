import os.path as osp
from typing import Any, Optional

import torch
from mmengine.config import Config

from ..datasets import IMAGE_LIST, SIZE_KEYS

# Those that mmengine's Runner has by itself, and drops where they are None.
RUNNER_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger',
                'param_scheduler', 'checkpoint')

# Settings that data sets for pictures and tests take from that for training.
SHARED = ('crop_size', 'color_type', 'value_range', 'exclude')


def resolve_config(cfg: Config) -> None:
    """Settle what follows from other settings, before a Runner is built.

    A hook that is switched off by its name (``default_hooks.health=None``)
    goes, which mmengine's Runner does with its own hooks alone; the images for
    tests are cropped as those for training; a resumed run sees the images with
    which it began; loaders get only what works without worker processes or
    without a GPU, if there are none; mmengine's ``activation_checkpointing``
    is done by the model, which can do more, and ``find_unused_parameters`` by
    the wrapper of the model.
    """
    for name, hook in list(cfg.get('default_hooks', {}).items()):
        if hook is None and name not in RUNNER_HOOKS:
            cfg.default_hooks.pop(name)
    names = cfg.pop('activation_checkpointing', None)
    if names:
        names = [names] if isinstance(names, str) else names
        cfg.model.activation_checkpointing = names
    if cfg.get('find_unused_parameters') and cfg.get('model_wrapper_cfg'):
        # Without a wrapper of its own, a config can leave this to mmengine.
        cfg.model_wrapper_cfg.setdefault('find_unused_parameters', True)
    for split in ('train', 'val', 'test'):
        if cfg.get(f'{split}_dataloader'):
            settle_loader(cfg[f'{split}_dataloader'])
    if cfg.get('train_dataloader'):
        keep_images(cfg)
    test_dataloader = cfg.get('test_dataloader')
    if test_dataloader:
        test_dataloader.dataset = cropped_as_training(test_dataloader.dataset,
                                                      cfg)


def settle_loader(loader: dict) -> None:
    """Drop what torch's DataLoader refuses without worker processes, and
    pinned memory, of which it warns, where there is no GPU."""
    if not loader.get('num_workers'):
        loader.pop('persistent_workers', None)
        loader.pop('prefetch_factor', None)
    if not torch.cuda.is_available():
        loader.pop('pin_memory', None)


def keep_images(cfg: Config) -> None:
    """Let a run that is resumed see the images with which it began; a new one
    sees all."""
    dataset = cfg.train_dataloader.dataset
    if not is_unlabeled(dataset):
        return
    # A config that an earlier run has left may name the list of that.
    dataset.pop('image_list', None)
    if cfg.get('resume') and cfg.get('load_from'):
        image_list = osp.join(osp.dirname(cfg.load_from), IMAGE_LIST)
        if osp.isfile(image_list):
            dataset.image_list = image_list


def is_unlabeled(dataset: dict) -> bool:
    """Tell whether a config is that of an UnlabeledImageDataset."""
    return dataset.get('type', '').split('.')[-1] == 'UnlabeledImageDataset'


def cropped_as_training(dataset: dict, cfg: Config) -> dict:
    """Read and crop an UnlabeledImageDataset as that for training, but for
    settings of its own; other datasets stay as they are."""
    if not is_unlabeled(dataset):
        return dataset
    train = cfg.train_dataloader.dataset
    shared = {key: find_setting(train, key) for key in SHARED}
    if shared['crop_size'] is None:  # of data sets of mmdet or mmseg
        shared['crop_size'] = find_scale(train)
    return {
        **{
            key: value
            for key, value in shared.items() if value is not None
        },
        **dataset
    }


def find_scale(dataset: dict) -> Optional[int]:
    """Find the size to which a pipeline crops, if it is one number."""
    for transform in find_setting(dataset, 'pipeline') or []:
        key = SIZE_KEYS.get(transform['type'].split('.')[-1])
        if isinstance(transform.get(key), int):
            return transform[key]
    return None


def find_setting(dataset: dict, key: str) -> Any:
    """Find a setting of a dataset, or of one within (ConcatDataset, say)."""
    if dataset.get(key) is not None:
        return dataset[key]
    parts = [dataset.get('dataset'), *dataset.get('datasets', [])]
    found = (find_setting(part, key) for part in filter(None, parts))
    return next((each for each in found if each is not None), None)
