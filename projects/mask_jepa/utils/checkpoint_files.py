import os.path as osp
import re
import zipfile
import zlib
from glob import escape, glob
from typing import Dict, List, Optional, Tuple

import torch


def require_whole(path: str) -> None:
    """Compare a file of ``torch.save`` with the checksums that it holds.

    The file is an archive with a CRC-32 of each tensor, at which
    ``torch.load`` does not look. Other files, and what torch wrote before 1.6,
    hold none, and pass.

    Raises:
        ValueError: If the file is empty, cut, or not as it was written.
    """
    with open(path, 'rb') as file:
        head = file.read(4)
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


def find_checkpoints(folder: str) -> List[str]:
    """List the checkpoints ``iter_<number>.pth`` of a run, newest first."""
    found: Dict[str, int] = {}
    for path in glob(osp.join(escape(folder), 'iter_*.pth')):
        match = re.fullmatch(r'iter_(\d+)\.pth', osp.basename(path))
        if match:
            found[path] = int(match[1])
    return sorted(found, key=found.get, reverse=True)


def find_newest_whole(folder: str) -> Tuple[Optional[str], List[str]]:
    """Find the newest checkpoint of a run that is whole.

    It is looked for in the folder itself, so that a folder may be moved, and
    a crash may come before any note of what was written last.

    Returns:
        tuple[str | None, list[str]]: Its path, None if there is no checkpoint
        at all, and a sentence for each newer one that is damaged.

    Raises:
        ValueError: If there are checkpoints, and none is whole.
    """
    complaints = []
    for path in find_checkpoints(folder):
        try:
            require_whole(path)
        except ValueError as error:
            complaints.append(str(error))
        else:
            return path, complaints
    if complaints:
        raise ValueError(
            f'No checkpoint in {folder} is whole: start anew in another '
            f'--work-dir. {complaints[0]}')
    return None, complaints
