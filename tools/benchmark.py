"""Measure what a step of Mask-JEPA costs, beside others of the same network.

All run in turn, on batches of the same size and in the same precision, so that
a machine whose speed drifts favours none:

  mask_jepa                  a step of the pretraining
  supervised                 mmdet's, with eight generated instances an image
  supervised_same_attention  the same with the deformable attention of
                             Mask-JEPA, which is faster than mmdet's where that
                             is not compiled for a GPU
  byol                       mmpretrain's BYOL of the backbone alone, with two
                             views of each image

Besides time it counts arithmetic, memory, and what makes a GPU wait for its
host. With --scale it measures instead how the cost of Mask-JEPA grows.
"""
import argparse
import copy
import json
import os
import os.path as osp
import sys
import time
from functools import partial
from typing import Callable, Dict

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

import torch
from matplotlib.figure import Figure
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.console import Console

from mask_jepa.benchmark import (ARMS, AXES, TrainingStep, compare,
                                 draw_comparison, draw_scaling, make_arm,
                                 make_comparison_table, make_scaling_table,
                                 measure, measure_scaling, time_in_turn,
                                 usable_tflops)
from mask_jepa.engine import resolve_config, use_gpu
from mask_jepa.utils import CFG_OPTIONS, exit_on, load_config, make_parser


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='pretraining config file path')
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument(
        '--image-size', type=int, default=256, help='in pixels')
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--warmup', type=int, default=2)
    parser.add_argument(
        '--arms',
        nargs='+',
        choices=ARMS,
        help='what is compared; by default all that run on this device')
    parser.add_argument(
        '--num-points',
        type=int,
        default=12544,
        help='points of the supervised mask losses; mmdet\'s default')
    parser.add_argument(
        '--scale',
        nargs='*',
        choices=AXES,
        help='measure how the cost grows along these axes, by default all, '
        'from --batch-size and --image-size')
    parser.add_argument(
        '--amp',
        action=argparse.BooleanOptionalAction,
        help='automatic mixed precision; by default on a GPU that has '
        'bfloat16, as in tools/train.py')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='torch.compile the backbones and the layers of the decoder')
    parser.add_argument(
        '--device', help='cpu or cuda; by default a GPU if there is one')
    parser.add_argument(
        '--cpu-time',
        action='store_true',
        help='on a CPU, count the seconds of this process alone, which other '
        'processes of a busy machine lengthen less')
    parser.add_argument(
        '--out', help='folder for the numbers (JSON) and a picture')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    args = parser.parse_args()
    if min(args.batch_size, args.steps) < 1 or args.warmup < 0:
        parser.error('--batch-size and --steps must be at least 1, --warmup '
                     'at least 0.')
    if args.image_size < 64 or args.image_size % 64:
        parser.error(f'--image-size must be a multiple of 64, but is '
                     f'{args.image_size}.')
    if args.arms and 'mask_jepa' not in args.arms:
        args.arms.insert(0, 'mask_jepa')
    return args


def choose_device(args: argparse.Namespace) -> torch.device:
    """Choose where the models live, and set up a GPU as for a training."""
    found = 'cuda' if torch.cuda.is_available() else 'cpu'
    device = torch.device(args.device or found)
    if device.type == 'cuda' and found == 'cpu':
        raise SystemExit('--device cuda needs a GPU, and torch sees none.')
    if device.type == 'cuda':
        torch.backends.cudnn.benchmark = True
        if args.cpu_time:
            raise SystemExit('--cpu-time is for a CPU: on a GPU leave it out.')
    elif args.amp:
        raise SystemExit('--amp needs a GPU: leave it out.')
    return device


def choose_precision(args: argparse.Namespace, device: torch.device) -> str:
    """Find the precision of a training with these options."""
    if device.type == 'cpu' or args.amp is False:
        return 'float32'
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return 'bfloat16'
    return 'float16' if args.amp else 'float32'


def choose_arms(args: argparse.Namespace, device: torch.device,
                precision: str) -> list:
    """Leave out what cannot run, and say so."""
    if args.arms:
        return args.arms
    arms = list(ARMS)
    compiled = get_compiling_cuda_version() != 'not available'
    if device.type == 'cuda' and (precision != 'float32' or not compiled):
        print('Without the arm supervised: mmcv\'s deformable attention knows '
              'no bfloat16, and on a GPU needs its compiled op.')
        arms.remove('supervised')
    if args.batch_size < 2:
        print('Without the arm byol: its batch norm needs two images.')
        arms.remove('byol')
    return arms


def build_step(args: argparse.Namespace, device: torch.device, cfg: Config,
               batch: dict) -> TrainingStep:
    """Build a step as tools/train.py would."""
    cfg = copy.deepcopy(cfg)
    if device.type == 'cuda':
        use_gpu(cfg, args.amp)
    clock = time.process_time if args.cpu_time else time.perf_counter
    return TrainingStep(cfg, batch, device, clock, args.compile)


def describe(args: argparse.Namespace, device: torch.device,
             precision: str) -> Dict[str, object]:
    """Say what was measured, and where."""
    options = ('config', 'batch_size', 'image_size', 'steps', 'warmup',
               'num_points', 'compile', 'cfg_options')
    return dict(
        {name: getattr(args, name)
         for name in options},
        precision=precision,
        clock='seconds of the process' if args.cpu_time else 'wall time',
        device=(torch.cuda.get_device_name()
                if device.type == 'cuda' else 'CPU'),
        threads=torch.get_num_threads(),
        torch=torch.__version__)


def write(folder: str, name: str, result: dict, figure: Figure) -> None:
    """Write numbers and picture into a folder."""
    os.makedirs(folder, exist_ok=True)
    place = osp.join(folder, name)
    with open(f'{place}.json', 'w') as file:
        json.dump(result, file, indent=1)
    figure.savefig(f'{place}.png', dpi=150)
    print(f'Wrote {place}.json and {place}.png.')


def run_comparison(args: argparse.Namespace, cfg: Config, device: torch.device,
                   result: dict, make_step: Callable[..., TrainingStep],
                   title: str) -> None:
    """Time the arms in turn, then measure each."""
    with exit_on(FileNotFoundError, ValueError):
        steps = {
            name:
            make_step(*make_arm(name, cfg, args.batch_size, args.image_size,
                                args.num_points))
            for name in choose_arms(args, device, result['precision'])
        }
    time_in_turn(steps, args.steps, args.warmup)
    dtype = dict(
        float32=torch.float32, bfloat16=torch.bfloat16,
        float16=torch.float16)[result['precision']]
    result['matmul_tflops'] = usable_tflops(device, dtype,
                                            steps['mask_jepa'].seconds_of)
    arms = {
        name: measure(step, result['matmul_tflops'])
        for name, step in steps.items()
    }
    result.update(arms=arms, mask_jepa_to=compare(arms))
    Console().print(make_comparison_table(arms, title))
    for name, ratio in result['mask_jepa_to'].items():
        print(f'A step of Mask-JEPA takes {ratio["time"]:.2f} times as long '
              f'as {name} (pair by pair {ratio["time_lowest"]:.2f} to '
              f'{ratio["time_highest"]:.2f}), {ratio["gflop"]:.2f} times the '
              f'arithmetic and {ratio["memory"]:.2f} times the memory.')
    if args.out:
        write(args.out, 'benchmark', result, draw_comparison(arms, title))


def run_scaling(args: argparse.Namespace, cfg: Config, result: dict,
                make_step: Callable[..., TrainingStep], title: str) -> None:
    """Measure how the cost of Mask-JEPA grows."""
    with exit_on(ValueError):
        scaling = measure_scaling(cfg, args.batch_size, args.image_size,
                                  args.steps, args.warmup, make_step,
                                  tuple(args.scale) or AXES)
    result['scaling'] = scaling
    Console().print(make_scaling_table(scaling, title))
    if args.out:
        write(args.out, 'scaling', result, draw_scaling(scaling, title))


def main() -> None:
    """Measure."""
    args = parse_args()
    device = choose_device(args)
    MMLogger.get_instance('benchmark', log_level='ERROR')
    with exit_on(FileNotFoundError, ValueError):
        cfg = load_config(args.config, args.cfg_options)
        resolve_config(cfg)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    precision = choose_precision(args, device)
    result = describe(args, device, precision)
    title = (f'{osp.basename(args.config)}: {args.batch_size} × '
             f'{args.image_size} pixels, {precision}, {result["device"]}, '
             f'{result["threads"]} threads, median of {args.steps} steps '
             f'({result["clock"]})')
    make_step = partial(build_step, args, device)
    if args.scale is None:
        run_comparison(args, cfg, device, result, make_step, title)
    else:
        run_scaling(args, cfg, result, make_step, title)


if __name__ == '__main__':
    main()
