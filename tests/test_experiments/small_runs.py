"""Runs that are made of next to nothing."""
from mmengine.config import Config

from mask_jepa.experiments.runs import Finetuning, Pretraining, Task
from mask_jepa.weights import PARTS


def small_pretraining(name='ours', seed=0, library='mask_jepa', **settings):
    """A pretraining of three iterations."""
    config = dict(
        train_cfg=dict(max_iters=3),
        train_dataloader=dict(batch_size=2),
        **settings)
    return Pretraining(name, seed, library, Config(config))


def small_finetuning(arm='none',
                     seed=0,
                     fraction=0.25,
                     pretraining=None,
                     branch='online',
                     parts=PARTS,
                     task='streets',
                     metric='mIoU',
                     scale=1,
                     **settings):
    """A fine-tuning on four of sixteen images."""
    config = Config({
        'train_dataloader': dict(dataset=dict(type='Images')),
        'model': dict(init_cfg=dict(type='Pretrained', checkpoint='old')),
        **settings
    })
    return Finetuning(
        arm, Task(task, config, 'mmseg', metric, scale, 16), fraction, seed,
        pretraining, branch, parts)
