"""Measure a pretraining checkpoint on held-out images."""
import argparse
import os.path as osp
import sys

# `projects` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from projects.mask_jepa.engine import resolve_config
from projects.mask_jepa.utils import (leave_process_group,
                                      prepare_cpu_distributed)


def parse_args() -> argparse.Namespace:
    """Read the command line, with the options of mmdet's test tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='pretraining config file path')
    parser.add_argument('checkpoint', help='pretraining checkpoint')
    parser.add_argument('--work-dir', help='where the metrics go')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override some settings, in the form key=value')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # torchrun and torch.distributed.launch pass the rank in either form.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    for option in ('config', 'checkpoint'):
        if not osp.isfile(getattr(args, option)):
            parser.error(
                f'there is no {option} file at {getattr(args, option)}.')
    return args


def main() -> None:
    """Test."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    if args.launcher == 'pytorch':
        prepare_cpu_distributed(cfg)
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or osp.join('work_dirs', name)
    cfg.load_from = args.checkpoint
    resolve_config(cfg)
    Runner.from_cfg(cfg).test()
    leave_process_group()


if __name__ == '__main__':
    main()
