from typing import Dict

from mmengine.hooks import LoggerHook
from mmengine.runner import Runner


def log_scalars(runner: Runner, group: str, values: Dict[str, float]) -> None:
    """Write values to TensorBoard and ``scalars.json``, not to the console.

    Args:
        runner (Runner): In the iteration that the values are of.
        group (str): What TensorBoard shows them under.
        values (dict[str, float]): By name.
    """
    runner.visualizer.add_scalars(
        {
            f'{group}/{name}': value
            for name, value in values.items()
        },
        step=runner.iter + 1)


def is_logged(runner: Runner) -> bool:
    """Tell whether mmengine's LoggerHook writes a line in this iteration."""
    return any(
        isinstance(hook, LoggerHook)
        and hook.every_n_train_iters(runner, hook.interval)
        for hook in runner.hooks)
