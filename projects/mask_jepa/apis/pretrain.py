import os
import os.path as osp
from contextlib import nullcontext
from typing import Any, List, Optional, Sequence, Union

from mmengine.config import Config
from mmengine.runner import Runner

from ..engine import (check_config, choose_checkpoint, find_unused_settings,
                      require_channels, resolve_config, try_model, use_gpu)
from ..hooks import StopSignalHook, require_one_target_hook
from ..utils import (RunError, SettingError, end_with_parent,
                     explaining_full_disk, find_checkpoints,
                     leave_process_group, load_config, locked,
                     naming_absent_ranks, prepare_cpu_distributed,
                     prepare_work_dir, refusing_objects, reraised_as, unwrap)

# Which of its processes this is, before they know each other.
RANK_VARIABLES = dict(
    pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')
Paths = Union[str, os.PathLike, Sequence[Union[str, os.PathLike]]]


def pretrain(config: str = 'r50',
             data: Optional[Paths] = None,
             out: Optional[str] = None,
             resume: Union[bool, str, None] = None,
             init: Optional[str] = None,
             amp: Optional[bool] = None,
             validate: bool = True,
             auto_scale_lr: bool = False,
             launcher: str = 'none',
             cfg_options: Optional[dict] = None,
             **overrides: Any) -> Optional[str]:
    """Pretrain a mask classifier on images without labels.

    ``tools/train.py`` is this call.

    Args:
        config (str): Path or name of a config, or its backbone alone: 'r50'
            is ``mask_jepa_r50_custom.py``, for images of your own.
        data (str | Sequence[str], optional): Folder of images, searched
            recursively, zip or tar, list of paths (.txt), or several of
            these. They take the place of all images of the config, those for
            pictures and tests too, unless other settings name these, and
            nothing is validated. Defaults to None: the images of the config.
        out (str, optional): Folder for checkpoints, logs and exported files.
            Defaults to ``work_dirs/<name of the config>``.
        resume (bool | str, optional): Go on from this checkpoint; True: from
            the newest whole one in ``out``, if there is any.
        init (str, optional): Checkpoint whose weights a new run begins with;
            beside ``resume=True`` only where there is none to go on from.
        amp (bool, optional): Mixed precision; None: on a GPU that has
            bfloat16. Defaults to None.
        validate (bool): False switches the validation of the config off.
            Defaults to True.
        auto_scale_lr (bool): Scale the learning rate by the batch size.
            Defaults to False.
        launcher (str): 'pytorch', 'slurm' or 'mpi' where that has started
            several processes. Defaults to 'none'.
        cfg_options (dict, optional): Settings of the config to change, by
            dotted keys: ``{'train_cfg.max_passes': 100}``.
        **overrides: The same as a config that inherits would write it:
            ``train_cfg=dict(max_passes=100)``.

    Returns:
        str: The newest checkpoint, for ``encode`` and ``export``; None
        where this process has none. Beside it lie
        ``mask_jepa_mmdet.pth`` and ``mask_jepa_mmseg.pth``.

    Raises:
        SettingError: If a setting is wrong, or a file that it names missing.
        RunError: If the run cannot begin, or go on.
    """
    with reraised_as(SettingError, FileNotFoundError, ValueError):
        resume = 'auto' if resume is True else resume or None
        resume, init = (each and os.fspath(each) for each in (resume, init))
        require_checkpoints(resume, init)
        options = {**(cfg_options or {}), **overrides}
        paths = [data] if isinstance(data, (str, os.PathLike)) else data
        if paths is not None:
            paths = list(map(os.fspath, paths))
            if not paths:
                raise ValueError('data names no image: it is empty.')
        cfg = load_config(config, options, train=paths)
        test = cfg.get('test_dataloader')
        if paths and test and not names_test_images(options):
            test.dataset.data_root = paths
        if paths or not validate:
            leave_out_validation(cfg)
        check_config(cfg)
        complaints = find_unused_settings(cfg, cfg.filename, options)
        use_gpu(cfg, amp)
    name = osp.splitext(osp.basename(cfg.filename))[0]
    cfg.work_dir = os.fspath(
        out or cfg.get('work_dir') or osp.join('work_dirs', name))
    cfg.launcher = launcher
    if launcher == 'pytorch':
        end_with_parent()
        prepare_cpu_distributed(cfg)
    if auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    prepare_work_dir(cfg.work_dir)
    # Other ranks write little, and nothing that is read again.
    rank = os.environ.get(RANK_VARIABLES.get(launcher, ''), '0')
    with (locked(cfg.work_dir) if rank == '0' else nullcontext(),
          refusing_objects()):
        with reraised_as(RunError, ValueError):
            complaints += choose_checkpoint(cfg, resume, init)
        train(cfg, complaints)
    return next(iter(find_checkpoints(cfg.work_dir)), None)


def require_checkpoints(resume: Optional[str], init: Optional[str]) -> None:
    """Refuse two at once, and files that are not there."""
    if resume not in (None, 'auto') and init:
        raise ValueError('resume PATH continues a run and init starts a new '
                         'one: give one of them.')
    if resume == 'auto':
        init = None  # It may be gone since the first job.
    for name, path in dict(resume=resume, init=init).items():
        if path not in (None, 'auto') and '://' not in path and (
                not osp.isfile(path)):
            raise FileNotFoundError(
                f'There is no checkpoint at {path}: give another --{name}.')


def names_test_images(options: dict) -> bool:
    """Whether options give the images for tests and pictures themselves."""
    chosen = Config()
    chosen.merge_from_dict(options)
    loader = chosen.get('test_dataloader') or {}
    return 'data_root' in (loader.get('dataset') or {})


def leave_out_validation(cfg: Config) -> None:
    """Switch the validation off, and the choice of a best checkpoint by it."""
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    checkpoint = cfg.get('default_hooks', {}).get('checkpoint')
    if checkpoint and checkpoint.get('save_best'):
        checkpoint.save_best = None


def count_accumulated(runner: Runner) -> None:
    """Scale the learning rate, if at all, by the images of a step, which may
    accumulate the gradients of several iterations."""
    scale = runner.auto_scale_lr
    if scale and scale.get('enable'):
        count = runner.cfg.optim_wrapper.get('accumulative_counts', 1)
        runner.auto_scale_lr = dict(
            scale, base_batch_size=scale['base_batch_size'] / count)


def train(cfg: Config, complaints: List[str]) -> None:
    """Train, from the checkpoint that is chosen, and log the complaints."""
    resolve_config(cfg)
    with explaining_full_disk(cfg.work_dir), naming_absent_ranks():
        # What only building can tell, before an image is read.
        with reraised_as(SettingError, AssertionError, KeyError, OSError,
                         TypeError, ValueError):
            runner = Runner.from_cfg(cfg)
            require_one_target_hook(runner)
            count_accumulated(runner)
            try_model(unwrap(runner.model))
            images = runner.train_loop.dataloader.dataset  # lists them
            require_channels(unwrap(runner.model), images)
        for complaint in complaints:
            runner.logger.warning(complaint)
        try:
            runner.train()
        finally:
            for hook in runner.hooks:
                if isinstance(hook, StopSignalHook):
                    hook.leave_signals()
        leave_process_group()
