"""Pretrain a mask classifier without labels."""
import argparse
import os
import os.path as osp
import sys
from contextlib import nullcontext
from typing import List, Optional

# `projects` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from projects.mask_jepa.engine import (check_config, choose_checkpoint,
                                       find_unused_settings, require_channels,
                                       resolve_config, try_model)
from projects.mask_jepa.hooks import require_one_target_hook
from projects.mask_jepa.utils import (CFG_OPTIONS, RunError, end_with_parent,
                                      exit_on, explaining_full_disk,
                                      leave_process_group, load_config, locked,
                                      make_parser, naming_absent_ranks,
                                      prepare_cpu_distributed,
                                      prepare_work_dir, unwrap)
from projects.mask_jepa.utils.command_line import DATA

# Which of its processes this is, before they know each other.
RANK_VARIABLES = dict(
    pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')


def parse_args() -> argparse.Namespace:
    """Read the command line, with the options of mmdet's train tool."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='train config file path')
    parser.add_argument(
        '--work-dir',
        help='where logs and checkpoints go; by default '
        'work_dirs/<name of the config>')
    parser.add_argument(
        '--amp',
        action=argparse.BooleanOptionalAction,
        help='automatic mixed precision; by default on a GPU that has '
        'bfloat16, in which --no-amp trains in float32')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue this run: from the given checkpoint, or without one '
        'from the newest of the work directory, if there is any')
    parser.add_argument(
        '--init', help='start a new run from the weights of a checkpoint')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the batch size')
    parser.add_argument('--data', **DATA)
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # torchrun and torch.distributed.launch pass the rank in either form.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.resume and args.init:
        parser.error('--resume continues a run and --init starts a new one: '
                     'give one of them.')
    for option in ('config', 'init'):
        path = getattr(args, option)
        if path and '://' not in path and not osp.isfile(path):
            parser.error(f'there is no {option} file at {path}.')
    if args.resume not in (None, 'auto') and not osp.isfile(args.resume):
        parser.error(f'there is no checkpoint to resume at {args.resume}.')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def use_gpu(cfg: Config, amp: Optional[bool] = None) -> None:
    """Choose what only makes a GPU faster, and nothing on a CPU.

    Mixed precision, TF32 for the matrix products that stay in float32, the
    fastest algorithm of each convolution (crops are of one size) in the
    memory layout of tensor cores, and batch statistics, if any, over all
    processes. What the config sets itself stays.

    Args:
        cfg (Config): The config of the run; changed in place.
        amp (bool, optional): Mixed precision; None: where the GPU has
            bfloat16. Defaults to None.

    Raises:
        SystemExit: If mixed precision is asked for without a GPU.
    """
    if not torch.cuda.is_available():
        if amp:
            raise SystemExit('--amp needs a GPU, and torch sees none: leave '
                             'it out.')
        return
    use_mixed_precision(cfg, amp)
    torch.set_float32_matmul_precision('high')
    cfg.env_cfg.cudnn_benchmark = True
    if cfg.model.type.split('.')[-1] == 'MaskJEPA':
        cfg.model.setdefault('channels_last', True)
    if cfg.get('sync_bn') is None:
        cfg.sync_bn = 'torch'  # of several processes; one has none


def use_mixed_precision(cfg: Config, amp: Optional[bool]) -> None:
    """Let the optimiser of a config work with mixed precision, or not.

    An optim_wrapper other than MMEngine's plain one stays as it is, unless
    ``amp`` is False.
    """
    wrapper = cfg.optim_wrapper
    if amp is False and wrapper.get('type') == 'AmpOptimWrapper':
        wrapper.type = 'OptimWrapper'
        for key in ('dtype', 'loss_scale', 'use_fsdp'):
            wrapper.pop(key, None)
    # Emulated, as on GPUs before Ampere, it would only be slow.
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    amp = has_bfloat16 if amp is None else amp
    if not amp or wrapper.get('type', 'OptimWrapper') != 'OptimWrapper':
        return
    wrapper.type = 'AmpOptimWrapper'
    if has_bfloat16:
        wrapper.dtype = 'bfloat16'
        # Its range is that of float32: a loss scale would grow until it
        # overflows.
        wrapper.loss_scale = dict(enabled=False)
    elif wrapper.get('clip_grad'):
        # While float16 looks for its loss scale, gradients may overflow; the
        # scaler skips those steps.
        wrapper.clip_grad.error_if_nonfinite = False


def train(cfg: Config, args: argparse.Namespace,
          complaints: List[str]) -> None:
    """Train, from the checkpoint that is asked for, and log complaints."""
    with exit_on(ValueError):
        complaints += choose_checkpoint(cfg, args.resume, args.init)
    resolve_config(cfg)
    with explaining_full_disk(cfg.work_dir), naming_absent_ranks():
        # What only building can tell, before an image is read.
        with exit_on(
                AssertionError, KeyError, OSError, TypeError, ValueError,
                status=2):
            runner = Runner.from_cfg(cfg)
            require_one_target_hook(runner)
            try_model(unwrap(runner.model))
            images = runner.train_loop.dataloader.dataset  # lists them
            require_channels(unwrap(runner.model), images)
        for complaint in complaints:
            runner.logger.warning(complaint)
        runner.train()
        leave_process_group()


def main() -> None:
    """Read the config, and train in a work directory of its own."""
    args = parse_args()
    with exit_on(FileNotFoundError, ValueError, status=2):
        cfg = load_config(args.config, args.cfg_options, train=args.data)
        check_config(cfg)
        unused = find_unused_settings(cfg, args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.launcher == 'pytorch':
        end_with_parent()
        prepare_cpu_distributed(cfg)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('work_dirs', name)
    use_gpu(cfg, args.amp)
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    with exit_on(RunError):
        prepare_work_dir(cfg.work_dir)
        # Other ranks write little, and nothing that is read again.
        rank = os.environ.get(RANK_VARIABLES.get(args.launcher, ''), '0')
        with locked(cfg.work_dir) if rank == '0' else nullcontext():
            train(cfg, args, unused)


if __name__ == '__main__':
    main()
