import resource
import time

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..utils import log_scalars, monitoring_seconds


@HOOKS.register_module()
class MonitoringCostHook(Hook):
    """Say what watching the training costs, in the same run.

    Logs ``monitoring/share``, the share of the wall time so far that went
    into health checks, pictures and probes, and
    ``monitoring/peak_host_memory`` in MB.

    Args:
        interval (int): Iterations between two values. Defaults to 50.
    """

    # After the health check, before the log is written.
    priority = 'NORMAL'

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval

    def before_run(self, runner: Runner) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    def before_train(self, runner: Runner) -> None:
        """Leave out what an interrupted run had spent."""
        self._spent_before = {}
        if runner.iter > 0:
            self._spent_before = monitoring_seconds(runner.message_hub)

    def after_train_iter(self, runner: Runner, **kwargs) -> None:
        """Log both values."""
        if runner.iter > 0 and not self.every_n_train_iters(
                runner, self.interval):
            return
        elapsed = time.perf_counter() - self._begin
        share = sum(self._spent(runner).values()) / elapsed
        # Linux counts in units of 1024 bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        log_scalars(runner, 'monitoring',
                    dict(share=share, peak_host_memory=peak))

    def after_train(self, runner: Runner) -> None:
        """Sum up."""
        elapsed = time.perf_counter() - self._begin
        spent = self._spent(runner)
        watching = sum(spent.values())
        parts = ', '.join(f'{name} {seconds:.1f} s'
                          for name, seconds in sorted(spent.items()))
        runner.logger.info(
            f'Watching took {watching:.1f} s ({parts or "nothing"}), '
            f'{watching / (elapsed - watching):.1%} more than the '
            f'{elapsed - watching:.1f} s of the training alone.')

    def _spent(self, runner: Runner) -> dict:
        """Seconds of this process, by what they were spent on."""
        return {
            name: seconds - self._spent_before.get(name, 0.0)
            for name, seconds in monitoring_seconds(
                runner.message_hub).items()
        }
