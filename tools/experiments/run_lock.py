"""One process makes a run, whatever commands ask for it."""
import fcntl
import os
import os.path as osp
from contextlib import contextmanager
from typing import Callable, Iterator


@contextmanager
def lock_run(path: str, tell_of_waiting: Callable[[],
                                                  None]) -> Iterator[int]:
    """Hold the lock of a run, and wait for it where another process does.

    Args:
        path (str): File of the lock; made where it is missing.
        tell_of_waiting (Callable): Called before a wait.

    Yields:
        int: File descriptor, for the processes that make the run. The lock
        is held until the last of them ends, so training that has lost the
        command that started it is not disturbed by the next one.
    """
    os.makedirs(osp.dirname(path), exist_ok=True)
    with open(path, 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell_of_waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
