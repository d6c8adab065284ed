import errno
import fcntl
import os
import os.path as osp
import socket
import tempfile
from contextlib import contextmanager
from typing import Iterator

from .errors import RunError

# Of a place that takes no more: full, above a quota or a limit, read-only.
CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def prepare_work_dir(path: str) -> None:
    """Make the folder of a run; a RunError if nothing can be written to it."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b'x')
    except OSError as error:
        raise RunError(
            f'The work directory {path} cannot be written to '
            f'({error.strerror}): give another --work-dir.') from error


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Let no other run write to a work directory for a block.

    The lock belongs to this process, not to its children, and ends with it.

    Raises:
        RunError: If another run has it.
    """
    # Not closed before the end, which would open the lock.
    with open(osp.join(path, '.lock'), 'a+') as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                raise RunError(
                    f'Another run writes to {path}, {file.read()}: end it '
                    'first, or give another --work-dir.') from error
            # Some network file systems know no locks.
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}')
        file.flush()
        yield


@contextmanager
def explaining_full_disk(path: str) -> Iterator[None]:
    """Turn the error of a full disk in a block into a RunError."""
    try:
        yield
    except OSError as error:
        if error.errno not in CLOSED:
            raise
        raise RunError(
            f'{path} could not be written to any more ({error.strerror}); '
            'the checkpoints in it are whole. Make room, and go on by '
            '--resume.') from error
