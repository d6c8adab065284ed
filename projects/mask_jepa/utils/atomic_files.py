import os
from contextlib import suppress
from glob import escape, glob
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend

PARTIAL = '.{}.partial'


class AtomicLocalBackend(LocalBackend):
    """Local files that appear whole or not at all.

    A file is written beside its place, flushed to the disk, then renamed;
    so a crash leaves the old file or the new one, never a piece of one.
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes to a file."""
        folder, name = os.path.split(os.path.abspath(filepath))
        os.makedirs(folder, exist_ok=True)
        partial = os.path.join(folder, PARTIAL.format(name))
        try:
            with open(partial, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, filepath)
        except BaseException:
            # It may be a whole checkpoint that nobody would look for.
            with suppress(OSError):
                os.remove(partial)
            raise
        # The rename itself must reach the disk, too.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def put_text(self,
                 obj: str,
                 filepath: Union[str, Path],
                 encoding: str = 'utf-8') -> None:
        """Write text to a file."""
        self.put(obj.encode(encoding), filepath)


def remove_pieces(folder: str) -> None:
    """Remove what writes that were killed have left in a folder, to which
    nobody else writes."""
    for path in glob(os.path.join(escape(folder), PARTIAL.format('*'))):
        if os.path.isfile(path):
            os.remove(path)


ATOMIC_LOCAL = 'mask_jepa_atomic_local'
# ``force`` lets the module be imported again under another name.
register_backend(ATOMIC_LOCAL, AtomicLocalBackend, force=True)
