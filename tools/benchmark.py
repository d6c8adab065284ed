"""Time a step of MaskJEPA against a supervised step of the same network.

Both run in turn, on batches of the same size, so that a machine whose speed
drifts does not favour one. The supervised step is mmdet's Mask2Former with
the backbone and head of the pretraining config and eight generated instances
an image.
"""
import argparse
import os.path as osp
import statistics
import sys
import time
from typing import Callable, Dict, List

# `projects` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

import torch
from mmdet.testing import demo_mm_inputs
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from rich.console import Console
from rich.table import Table
from torch import nn

from projects.mask_jepa.utils import (CFG_OPTIONS, exit_on, load_config,
                                      make_parser)

STOCK = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
NUM_CLASSES = 80


class StepTimer:
    """Takes training steps and notes how long each part lasts, in seconds.

    Args:
        batch (dict): What a data loader would give.
        after_step (Callable, optional): What follows the optimiser.
    """

    def __init__(self,
                 model: nn.Module,
                 optim_wrapper: dict,
                 batch: dict,
                 after_step: Callable = None) -> None:
        self.model = model.train()
        self.optim_wrapper = build_optim_wrapper(model, optim_wrapper)
        self.batch = batch
        self.after_step = after_step
        self.seconds: List[Dict[str, float]] = []
        self._teacher = 0.0
        if hasattr(model, 'target'):
            model.target.register_forward_pre_hook(self._enter_teacher)
            model.target.register_forward_hook(self._leave_teacher)

    def step(self) -> None:
        """Take one step."""
        self._teacher = 0.0
        begin = now()
        data = self.model.data_preprocessor(self.batch, training=True)
        prepared = now()
        losses = self.model(**data, mode='loss')
        loss, _ = self.model.parse_losses(losses)
        forwarded = now()
        loss.backward()
        backwarded = now()
        self.optim_wrapper.step()
        self.optim_wrapper.zero_grad()
        stepped = now()
        if self.after_step:
            self.after_step()
        done = now()
        self.seconds.append({
            'preprocessing':
            prepared - begin,
            'student forward and losses':
            forwarded - prepared - self._teacher,
            'teacher forward':
            self._teacher,
            'backward':
            backwarded - forwarded,
            'optimiser':
            stepped - backwarded,
            'EMA':
            done - stepped,
            'whole step':
            done - begin
        })

    def _enter_teacher(self, *_) -> None:
        self._entered = now()

    def _leave_teacher(self, *_) -> None:
        self._teacher += now() - self._entered


def now() -> float:
    """Read the clock, in seconds, when the device has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='pretraining config file path')
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument('--image-size', type=int, default=256)
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--warmup', type=int, default=2)
    parser.add_argument(
        '--num-points',
        type=int,
        default=12544,
        help='points of the supervised mask losses; mmdet\'s default')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    return parser.parse_args()


def build_timers(args: argparse.Namespace) -> Dict[str, StepTimer]:
    """Build both models on the same device, with the same network."""
    with exit_on(FileNotFoundError, ValueError):
        cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None  # Weights do not change the speed.
    stock = load_config(STOCK)
    supervised = stock.model
    supervised.backbone = cfg.model.backbone
    supervised.panoptic_head = cfg.model.panoptic_head
    supervised.train_cfg.num_points = args.num_points
    supervised.data_preprocessor.batch_augments = None

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    batch = demo_mm_inputs(
        args.batch_size,
        [(3, args.image_size, args.image_size)] * args.batch_size,
        num_items=[8] * args.batch_size,
        num_classes=NUM_CLASSES,
        with_mask=True,
        with_semantic=True)
    jepa = MODELS.build(cfg.model).to(device)
    return {
        'MaskJEPA':
        StepTimer(jepa, cfg.optim_wrapper, batch,
                  lambda: jepa.update_target(0.996)),
        'supervised':
        StepTimer(
            MODELS.build(supervised).to(device), stock.optim_wrapper, batch)
    }


def main() -> None:
    """Measure."""
    args = parse_args()
    torch.manual_seed(0)
    timers = build_timers(args)
    for _ in range(args.warmup + args.steps):
        for timer in timers.values():
            timer.step()
    measured = {
        name: timer.seconds[args.warmup:]
        for name, timer in timers.items()
    }

    table = Table(
        'part',
        title=f'{osp.basename(args.config)}: batch {args.batch_size} of '
        f'{args.image_size} pixels, median of {args.steps} steps, '
        f'{torch.get_num_threads()} threads, '
        f'{"GPU" if torch.cuda.is_available() else "CPU"}')
    for name in measured:
        table.add_column(f'{name}, ms', justify='right')
    for part in measured['MaskJEPA'][0]:
        table.add_row(
            part,
            *(f'{1000 * statistics.median(s[part] for s in steps):.0f}'
              for steps in measured.values()))
    Console().print(table)
    ratios = sorted(jepa['whole step'] / supervised['whole step']
                    for jepa, supervised in zip(*measured.values()))
    print(f'A step of MaskJEPA takes {statistics.median(ratios):.2f} times as '
          f'long as a supervised one (pair by pair {ratios[0]:.2f} to '
          f'{ratios[-1]:.2f}).')


if __name__ == '__main__':
    main()
