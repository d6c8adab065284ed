import logging
from contextlib import contextmanager
from typing import Iterator

from mmengine.logging import MMLogger


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
    """Keep lines with any of these texts out of mmengine's log for a block.

    Args:
        *texts (str): As the lines contain them; other lines stay.
    """

    def stays(record: logging.LogRecord) -> bool:
        return not any(text in record.getMessage() for text in texts)

    logger = MMLogger.get_current_instance()
    logger.addFilter(stays)
    try:
        yield
    finally:
        logger.removeFilter(stays)
