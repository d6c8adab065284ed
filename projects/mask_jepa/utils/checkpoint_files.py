import os.path as osp
import pickle
import re
import zipfile
import zlib
from glob import escape, glob
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from .errors import RunError

# The square of a number beyond overflows float32.
LARGEST = 1e19


def require_whole(path: str) -> None:
    """Compare a file of ``torch.save`` with the checksums that it holds.

    The file is an archive with a CRC-32 of each tensor, at which
    ``torch.load`` does not look. Other files, and what torch wrote before 1.6,
    hold none, and pass.

    Raises:
        ValueError: If the file is empty, cut, or not as it was written, or
            cannot be read.
    """
    if not osp.isfile(path):  # also of a FIFO, which would be waited for
        raise ValueError(f'{path} is no file: give another one.')
    try:
        with open(path, 'rb') as file:
            head = file.read(4)
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror}): give '
                         'another one.') from error
    if not head:
        raise ValueError(f'{path} is no checkpoint of tensors, but empty: '
                         'give another one.')
    if head != b'PK\x03\x04' and not zipfile.is_zipfile(path):
        return
    damaged = (f'{path} is a damaged checkpoint, or not all of one: give '
               'another one.')
    try:
        with zipfile.ZipFile(path) as archive:
            checksums = {}
            for each in archive.infolist():
                archive.open(each).close()  # Its name is there twice.
                checksums[each.filename.partition('/')[2]] = each.CRC
        # What torch will read, which need not be what Python finds.
        reader = torch._C.PyTorchFileReader(path)
        whole = head == b'PK\x03\x04' and checksums == {
            name: zlib.crc32(reader.get_record(name))
            for name in reader.get_all_records()
        }
    except Exception as error:  # A damaged file can end in any.
        raise ValueError(damaged) from error
    if not whole:
        raise ValueError(damaged)


def find_non_finite(content: Any, name: str = '') -> Optional[str]:
    """Name the first tensor, in nested dicts and lists, that is spoilt.

    It holds NaN, infinity, or what is so large that its square is infinite.
    """
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, (list, tuple)):
        items = enumerate(content)
    else:
        is_spoilt = (
            isinstance(content, Tensor) and content.is_floating_point()
            and content.numel() > 0
            and not max(map(abs,
                            content.detach().aminmax())) < LARGEST)
        return name if is_spoilt else None
    prefix = f'{name}.' if name else ''
    found = (find_non_finite(item, f'{prefix}{key}') for key, item in items)
    return next(filter(None, found), None)


def find_spoilt_part(checkpoint: dict) -> Optional[str]:
    """Name the first tensor of weights or optimiser that is spoilt."""
    return (find_non_finite(checkpoint.get('state_dict', checkpoint))
            or find_non_finite(checkpoint.get('optimizer'), 'optimizer'))


def require_finite(checkpoint: dict, path: str) -> None:
    """Raise a RunError if weights or optimiser of a checkpoint are spoilt."""
    name = find_spoilt_part(checkpoint)
    if name:
        raise RunError(f'{path} holds numbers that are infinite, NaN or '
                       f'nearly so, in {name} first: give an earlier '
                       'checkpoint.')


def find_checkpoints(folder: str) -> List[str]:
    """List the checkpoints ``iter_<number>.pth`` of a run, newest first."""
    found: Dict[str, int] = {}
    for path in glob(osp.join(escape(folder), 'iter_*.pth')):
        match = re.fullmatch(r'iter_(\d+)\.pth', osp.basename(path))
        if match:
            found[path] = int(match[1])
    return sorted(found, key=found.get, reverse=True)


def find_newest_whole(folder: str) -> Tuple[Optional[str], List[str]]:
    """Find the newest checkpoint of a run that is whole, and finite.

    It is looked for in the folder itself, so that a folder may be moved, and
    a crash may come before any note of what was written last.

    Returns:
        tuple[str | None, list[str]]: Its path, None if there is no checkpoint
        at all, and a sentence for each newer one that is not.

    Raises:
        ValueError: If there are checkpoints, and none is whole and finite.
    """
    complaints = []
    for path in find_checkpoints(folder):
        try:
            require_whole(path)
            require_finite(_load_tensors(path), path)
        except ValueError as error:
            complaints.append(str(error))
        else:
            return path, complaints
    if complaints:
        raise ValueError(
            f'No checkpoint in {folder} is whole and finite: start anew in '
            f'another --work-dir. {complaints[0]}')
    return None, complaints


def _load_tensors(path: str) -> dict:
    """Load a checkpoint; nothing of one with objects, which the Runner will
    refuse. A ValueError if it is none."""
    try:
        checkpoint = torch.load(path, 'cpu', weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        return {}
    except RuntimeError:  # an old format, or something else
        checkpoint = None
    if not isinstance(checkpoint, dict):
        raise ValueError(f'{path} is no checkpoint of tensors: give another '
                         'one.')
    return checkpoint
