"""Measure a pretraining checkpoint on held-out images."""
import argparse
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from mmengine.runner import Runner

from mask_jepa.engine import check_config, resolve_config
from mask_jepa.utils import (CFG_OPTIONS, DATA, RunError, end_with_parent,
                             exit_on, leave_process_group, load_config,
                             make_parser, prepare_cpu_distributed,
                             require_whole)


def parse_args() -> argparse.Namespace:
    """Read the command line, with the options of mmdet's test tool."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='pretraining config file path')
    parser.add_argument('checkpoint', help='pretraining checkpoint')
    parser.add_argument('--work-dir', help='where the metrics go')
    parser.add_argument(
        '--out', help='pickle file (.pkl) for what is predicted of each image')
    parser.add_argument(
        '--show-dir',
        help='folder for pictures of all images, a sheet a batch')
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
    if not osp.isfile(args.checkpoint):
        parser.error(f'there is no checkpoint file at {args.checkpoint}.')
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out must end in .pkl, but is {args.out}.')
    return args


def main() -> None:
    """Test."""
    args = parse_args()
    with exit_on(FileNotFoundError, ValueError, status=2):
        cfg = load_config(args.config, args.cfg_options, test=args.data)
        check_config(cfg, testing=True)
    with exit_on(ValueError):
        require_whole(args.checkpoint)
    cfg.launcher = args.launcher
    if args.launcher == 'pytorch':
        end_with_parent()
        prepare_cpu_distributed(cfg)
    name = osp.splitext(osp.basename(cfg.filename))[0]
    # Apart from that of the training, whose config would be written over.
    cfg.work_dir = args.work_dir or osp.join('work_dirs', name, 'test')
    cfg.load_from = args.checkpoint
    if args.out:
        evaluators = cfg.test_evaluator
        cfg.test_evaluator = [
            *(evaluators if isinstance(evaluators, list) else [evaluators]),
            dict(type='DumpResults', out_file_path=args.out)
        ]
    if args.show_dir:
        cfg.default_hooks.visualization = dict(
            type='PretrainVisualizationHook', test_out_dir=args.show_dir)
    resolve_config(cfg)
    with exit_on(
            AssertionError, KeyError, OSError, TypeError, ValueError,
            status=2):
        runner = Runner.from_cfg(cfg)
        runner.test_loop  # lists the images
    with exit_on(RunError):
        runner.test()
    leave_process_group()


if __name__ == '__main__':
    main()
