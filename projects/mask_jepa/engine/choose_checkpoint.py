import os.path as osp
from typing import List, Optional

from mmengine.config import Config

from ..utils import (find_checkpoints, find_newest_whole, require_plain,
                     require_whole)


def choose_checkpoint(cfg: Config, resume: Optional[str],
                      init: Optional[str]) -> List[str]:
    """Settle from which file, a whole one, the run begins, if from any.

    Without options ``resume`` and ``load_from`` of the config count, as in
    mmdet's tool.

    Args:
        cfg (Config): The config of the run; changed in place.
        resume (str, optional): A checkpoint, or 'auto'.
        init (str, optional): A checkpoint; with 'auto' it counts only where
            there is none to resume from.

    Returns:
        list[str]: A sentence for each newer checkpoint that is damaged.

    Raises:
        ValueError: If the checkpoint is damaged, or none of ours, or a new run
            would write over those of an earlier one.
    """
    if resume == 'auto' and init:
        # As a job that begins again, by the same command, asks for.
        if find_checkpoints(cfg.work_dir):
            init = None
        elif '://' in init or osp.isfile(init):
            resume = None
        else:
            raise ValueError(
                f'There is no checkpoint at {init}: give another --init.')
    if resume or init:
        cfg.resume = resume is not None
        cfg.load_from = init if resume in (None, 'auto') else resume
    complaints = []
    newest, *_ = find_checkpoints(cfg.work_dir) or [None]
    source = cfg.get('load_from') or ''
    elsewhere = source and osp.realpath(osp.dirname(source)) != osp.realpath(
        cfg.work_dir)
    # Of a run that went on here, old checkpoints would be removed as its own.
    if newest and (elsewhere or not cfg.get('resume')):
        raise ValueError(
            f'{newest} is of an earlier run: go on with it by --resume, or '
            'choose another --work-dir.')
    if cfg.get('resume') and not cfg.get('load_from'):
        cfg.load_from, complaints = find_newest_whole(cfg.work_dir)
        cfg.resume = cfg.load_from is not None
    elif cfg.get('load_from') and osp.isfile(cfg.load_from):
        require_whole(cfg.load_from)
    if cfg.get('resume'):
        require_plain(cfg.load_from)
    return complaints
