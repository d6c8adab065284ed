import re
from typing import Tuple

from mmengine.registry import LOG_PROCESSORS
from mmengine.runner import LogProcessor, Runner

SHOWN = re.compile('loss|time|memory|lr$')


@LOG_PROCESSORS.register_module()
class LossLogProcessor(LogProcessor):
    """Show the losses on the console, beside time, memory and learning rate.

    Everything else, such as the norm of the gradient, is written to the
    ``vis_backends`` only.
    """

    def get_log_after_iter(self, runner: Runner, batch_idx: int,
                           mode: str) -> Tuple[dict, str]:
        """Compose all values, and a line of some of them."""
        values, line = super().get_log_after_iter(runner, batch_idx, mode)
        hidden = {name for name in values if not SHOWN.search(name)}
        return values, '  '.join(
            part for part in line.split('  ')
            if part.partition(': ')[0] not in hidden)
