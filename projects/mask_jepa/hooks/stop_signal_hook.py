import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Optional

import torch
import torch.distributed as dist
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from ..utils import collective_timeout, leave_process_group

# The last is what tools/slurm_train.sh asks for before the time limit.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@HOOKS.register_module()
class StopSignalHook(Hook):
    """On SIGTERM, SIGINT or SIGUSR1, finish the step, save, and leave.

    The exit status is that of a process that died of the signal, 128 and its
    number; nothing is exported. A second SIGINT ends the process at once. Of
    several processes one that was told is enough; all end after the same step
    of the optimiser, about which they agree one iteration later, on their
    CPUs, so that no GPU waits.
    """

    # After the checkpoint of the iteration, if it has one.
    priority = 'LOWEST'
    _handlers: dict = {}

    def before_train(self, runner: Runner) -> None:
        """Listen to the signals, which need not reach worker processes."""
        self._told = self._agreed = 0
        self._answer: Optional[dist.Work] = None
        self._group = None
        if get_world_size() > 1:
            self._group = dist.new_group(
                backend='gloo', timeout=collective_timeout(runner.cfg))
        self._handlers = {}
        if threading.current_thread() is threading.main_thread():
            self._handlers = {
                number: signal.signal(number, self._note)
                for number in SIGNALS
            }
        # torchrun and a terminal send signals to a whole group of processes;
        # a loader that loses a worker breaks the step.
        for worker in multiprocessing.active_children():
            with suppress(OSError):
                os.setpgid(worker.pid, worker.pid)

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        self._told = number
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def after_train_iter(self, runner: Runner, **kwargs) -> None:
        """Save and leave, if that was asked for and a step is complete."""
        self._agree()
        is_last = runner.iter + 1 >= runner.max_iters
        if (not self._agreed or is_last
                or not runner.optim_wrapper.should_update()):
            return
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                save(hook, runner)
        runner.logger.info(
            f'Stopped by {signal.Signals(self._agreed).name} after iteration '
            f'{runner.iter + 1}: go on by --resume.')
        runner.call_hook('after_run')
        leave_process_group()
        raise SystemExit(128 + self._agreed)

    def _agree(self) -> None:
        """Learn what any process was told up to the iteration before."""
        if self._group is None or self._agreed:
            self._agreed = self._agreed or self._told
            return
        if self._answer is not None:
            self._answer.wait()
            self._agreed = int(self._heard)
        self._heard = torch.tensor(self._told)
        self._answer = dist.all_reduce(
            self._heard, dist.ReduceOp.MAX, self._group, async_op=True)

    def after_train(self, runner: Runner) -> None:
        """Leave the signals to those who had them."""
        self.leave_signals()

    def leave_signals(self) -> None:
        """Give the signals back, also where a run did not come to its end."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def save(hook: CheckpointHook, runner: Runner) -> None:
    """Let a hook save a checkpoint of this iteration, unless it has."""
    path = hook.file_backend.join_path(
        hook.out_dir, hook.filename_tmpl.format(runner.iter + 1))
    if hook.last_ckpt != path:
        hook._save_checkpoint(runner)
