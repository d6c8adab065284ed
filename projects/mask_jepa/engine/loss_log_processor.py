import logging
import re
from typing import Tuple

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import LOG_PROCESSORS
from mmengine.runner import LogProcessor, Runner

SHOWN = re.compile('loss|time|memory|lr$')
# Iterations over which waiting is averaged. The longest of them are left out,
# since mmengine takes what hooks do between two iterations for waiting.
WAITING_WINDOW, LEFT_OUT = 50, 2
MAX_WAITING = 0.2  # of an iteration


@LOG_PROCESSORS.register_module()
class LossLogProcessor(LogProcessor):
    """Show the losses on the console, beside time, memory and learning rate.

    Everything else, such as the norm of the gradient, is written to the
    ``vis_backends`` only. A run that waits for images for more than a fifth
    of its time is told so once.
    """

    is_told = False

    def get_log_after_iter(self, runner: Runner, batch_idx: int,
                           mode: str) -> Tuple[dict, str]:
        """Compose all values, and a line of some of them."""
        values, line = super().get_log_after_iter(runner, batch_idx, mode)
        if mode == 'train' and not self.is_told:
            self._look_at_waiting(runner)
        hidden = {name for name in values if not SHOWN.search(name)}
        return values, '  '.join(
            part for part in line.split('  ')
            if part.partition(': ')[0] not in hidden)

    def _look_at_waiting(self, runner: Runner) -> None:
        """Warn if waiting for images takes too much of the last iterations."""
        scalars = runner.message_hub.log_scalars
        if 'train/data_time' not in scalars:  # no timer
            return
        waiting, whole = (
            np.asarray(scalars[f'train/{name}'].data[0][-WAITING_WINDOW:])
            for name in ('data_time', 'time'))
        if len(waiting) < WAITING_WINDOW:
            return
        kept = np.argsort(waiting)[:-LEFT_OUT]
        share = waiting[kept].sum() / whole[kept].sum()
        if share <= MAX_WAITING:
            return
        self.is_told = True
        print_log(
            f'{share:.0%} of the last {WAITING_WINDOW} iterations was spent '
            'on waiting for images: raise train_dataloader.num_workers, which '
            f'is {runner.train_dataloader.num_workers}, as far as there are '
            'cores.',
            logger='current',
            level=logging.WARNING)
