import fnmatch
import logging
import os
import os.path as osp
import re
from collections import Counter
from typing import Iterator, List, Sequence, Tuple

from mmengine.logging import print_log

from ..utils import printable
from .archives import ARCHIVES

# Where a training keeps the listing of its images, in its work directory.
IMAGE_LIST = 'image_list.txt'
# What the work directory of a run, or a folder in it, holds.
RUN_FILES = {IMAGE_LIST, 'last_checkpoint', 'vis_data'}
# Where labels are, by the habits of data sets: '/' and the path in the folder,
# in lower case. JPEG is none in any case.
LABELS = ('*/ann_dir/*', '*/annotation/*', '*/annotations/*',
          '*/ground_truth/*', '*/groundtruth/*', '*/gt/*', '*/gtcoarse/*',
          '*/gtfine/*', '*/label/*', '*/labels/*', '*/mask/*', '*/masks/*',
          '*/segmentationclass/*', '*/segmentationobject/*', '*[._-]gt.*',
          '*[_-]instanceids.*', '*[_-]labelids.*', '*[_-]labeltrainids.*',
          '*[._-]mask.*', '*[._-]seg.*')
JPEG = ('.jpg', '.jpeg')


def find_files(
    folder: str,
    suffixes: Tuple[str, ...],
    above: Tuple[Tuple[int, int], ...] = ()
) -> Iterator[str]:
    """Find files by their endings, in whichever case, but hidden ones.

    As mmengine's ``list_dir_or_file``, in a sixth of the time. What a link
    leads to is searched as well, unless it is one of the folders ``above``; a
    folder that may not be read, and one that a run has written, are left out,
    which is said.
    """
    try:
        status = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError as error:
        print_log(
            printable(f'Left out: {error}.'),
            logger='current',
            level=logging.WARNING)
        return
    here = status.st_dev, status.st_ino
    if here in above:
        return
    if above and RUN_FILES.intersection(entry.name for entry in entries):
        print_log(
            printable(f'Left out: {folder}, which a run has written.'),
            logger='current')
        return
    for entry in entries:
        if entry.is_symlink() and not osp.exists(entry.path):
            continue  # It leads nowhere, or to itself.
        if entry.is_dir():
            yield from find_files(entry.path, suffixes, (*above, here))
        elif (entry.name.lower().endswith(suffixes)
              and not entry.name.startswith('.') and entry.is_file()):
            yield entry.path


def other_suffixes(source: str) -> str:
    """Say what a folder without images holds instead."""
    if not osp.isdir(source):
        return ''
    found = Counter(
        osp.splitext(path)[1].lower() for path in find_files(source, ('', )))
    found.pop('', None)
    listed = ', '.join(f'{count} {suffix}'
                       for suffix, count in found.most_common(3))
    advice = 'see img_suffixes'
    archive = next((suffix for suffix in found if suffix in ARCHIVES), None)
    if archive:
        advice = f'give {osp.join(source, "*" + archive)} for what is in it'
    return printable(f'; it has {listed}: {advice}') if listed else ''


def leave_out_labels(source: str, names: List[str],
                     exclude: Sequence[str]) -> List[str]:
    """Leave out of the names in a folder what is excluded, or of the name of a
    JPEG beside it, and say so."""
    excluded = re.compile('|'.join(map(fnmatch.translate, exclude)))
    photographs = {
        osp.splitext(name)[0]
        for name in names if name.lower().endswith(JPEG)
    }

    def is_label(name: str) -> bool:
        stem, suffix = osp.splitext(name)
        if suffix.lower() in JPEG and exclude is LABELS:
            return False
        return (excluded.match(f'/{name.lower()}') is not None
                or suffix.lower() not in JPEG and stem in photographs)

    labels = set(filter(is_label, names))
    if labels:
        print_log(
            printable(
                f'Left out: {len(labels)} of {len(names)} images in {source}, '
                f'such as {min(labels)}, since their names are excluded, '
                'as those of labels are (train_dataloader.dataset.exclude=[] '
                'keeps them).'),
            logger='current')
    return [name for name in names if name not in labels]
