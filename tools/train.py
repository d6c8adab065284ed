"""Pretrain a mask classifier without labels."""
import argparse
import os
import os.path as osp
import sys

# `projects` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from projects.mask_jepa.engine import resolve_config
from projects.mask_jepa.hooks import require_one_target_hook
from projects.mask_jepa.utils import (CFG_OPTIONS, exit_on,
                                      leave_process_group, load_config,
                                      make_parser, prepare_cpu_distributed)


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
        action='store_true',
        help='automatic mixed precision, '
        'bfloat16 where the GPU has it')
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


def use_mixed_precision(cfg: Config) -> None:
    """Let the optimiser of a config work with automatic mixed precision."""
    if not torch.cuda.is_available():
        raise SystemExit('--amp needs a GPU, and torch sees none: leave it '
                         'out.')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    # Emulated, as on GPUs before Ampere, it would only be slow.
    if torch.cuda.is_bf16_supported(including_emulation=False):
        cfg.optim_wrapper.dtype = 'bfloat16'
        # Its range is that of float32: a loss scale would grow until it
        # overflows.
        cfg.optim_wrapper.loss_scale = dict(enabled=False)
    else:
        # While float16 looks for its loss scale, gradients may overflow; the
        # scaler skips those steps.
        cfg.optim_wrapper.clip_grad.error_if_nonfinite = False


def use_gpu(cfg: Config) -> None:
    """Choose what only makes a GPU faster, and nothing on a CPU.

    TF32 for the matrix products that stay in float32, and the fastest
    algorithm of each convolution (crops are of one size).

    Args:
        cfg (Config): The config of the run; changed in place.
    """
    if not torch.cuda.is_available():
        return
    torch.set_float32_matmul_precision('high')
    cfg.env_cfg.cudnn_benchmark = True


def main() -> None:
    """Train."""
    args = parse_args()
    with exit_on(FileNotFoundError, ValueError):
        cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.launcher == 'pytorch':
        prepare_cpu_distributed(cfg)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('work_dirs', name)
    use_gpu(cfg)
    if args.amp:
        use_mixed_precision(cfg)
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    cfg.resume = args.resume is not None
    cfg.load_from = args.init
    if args.resume not in (None, 'auto'):
        cfg.load_from = args.resume
    resolve_config(cfg)
    runner = Runner.from_cfg(cfg)
    require_one_target_hook(runner)
    runner.train()
    leave_process_group()


if __name__ == '__main__':
    main()
