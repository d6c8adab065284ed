"""Pretrain a mask classifier without labels."""
import argparse
import os
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from mask_jepa import pretrain
from mask_jepa.utils import (CFG_OPTIONS, DATA, RunError, SettingError,
                             exit_on, make_parser)


def parse_args() -> argparse.Namespace:
    """Read the command line, with the options of mmdet's train tool."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'config',
        help='config file path or name, or a backbone, such as r50, for '
        'images of your own')
    parser.add_argument('--data', **DATA)
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
        '--init',
        help='start a new run from the weights of a checkpoint; beside '
        '--resume only if there is none to go on from')
    parser.add_argument(
        '--no-validate',
        dest='validate',
        action='store_false',
        help='switch the validation of the config off')
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
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Train."""
    args = parse_args()
    with exit_on(RunError), exit_on(SettingError, status=2):
        pretrain(
            args.config,
            args.data,
            args.work_dir,
            resume=args.resume,
            init=args.init,
            amp=args.amp,
            validate=args.validate,
            auto_scale_lr=args.auto_scale_lr,
            launcher=args.launcher,
            cfg_options=args.cfg_options)


if __name__ == '__main__':
    main()
