import logging
from contextlib import contextmanager
from typing import Dict, Iterator

from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import Runner

MONITORING_SECONDS = 'monitoring_seconds'


def monitoring_seconds(message_hub: MessageHub) -> Dict[str, float]:
    """Look up what a run has spent its seconds of watching itself on."""
    return dict(message_hub.runtime_info.get(MONITORING_SECONDS) or {})


def note_monitoring_seconds(message_hub: MessageHub, name: str,
                            seconds: float) -> None:
    """Add to the seconds that a run has spent on watching itself, by name.

    The sums travel in checkpoints, so that they go on after a resume.
    """
    spent = monitoring_seconds(message_hub)
    spent[name] = spent.get(name, 0.0) + seconds
    message_hub.update_info(MONITORING_SECONDS, spent)


def log_scalars(runner: Runner, group: str, values: Dict[str, float]) -> None:
    """Write an iteration's values, as ``group/name``, to TensorBoard and
    ``scalars.json``, not to the console."""
    named = {f'{group}/{name}': value for name, value in values.items()}
    runner.visualizer.add_scalars(named, step=runner.iter + 1)


def is_logged(runner: Runner) -> bool:
    """Tell whether mmengine's LoggerHook writes a line in this iteration."""
    return any(
        isinstance(hook, LoggerHook)
        and hook.every_n_train_iters(runner, hook.interval)
        for hook in runner.hooks)


@contextmanager
def quiet_log() -> Iterator[None]:
    """Let mmengine's logger say only warnings and errors for a block."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def left_out_of_log(*texts: str) -> Iterator[None]:
    """Keep lines with any of these texts out of mmengine's log for a block."""

    def stays(record: logging.LogRecord) -> bool:
        return not any(text in record.getMessage() for text in texts)

    logger = MMLogger.get_current_instance()
    logger.addFilter(stays)
    try:
        yield
    finally:
        logger.removeFilter(stays)
