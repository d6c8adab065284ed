import logging
import os
import os.path as osp
from itertools import accumulate
from typing import List, Optional, Sequence, Union

import torch
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.fileio import get
from mmengine.logging import print_log

from ..utils import evenly_spread, printable
from .archives import ArchivedImage, find_members, is_archive
from .deep_image import ValueRange
from .first_images import look_at_first_images
from .image_folder import LABELS, find_files, leave_out_labels, other_suffixes
from .loading import ReadUnlabeledImage, UnreadableImageError

# Where transforms take the size that they crop or resize to.
SIZE_KEYS = dict(
    DecodeRandomResizedCrop='scale',
    RandomResizedCrop='scale',
    ResizeEdge='scale',
    CenterCrop='crop_size')
READING = ('ReadUnlabeledImage', 'LoadUnlabeledImage')
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff',
                  '.jp2', '.dcm')
NUM_MEASURED = 16  # images, before a training
LIST_HELP = ('put them back, or delete the list to go on with the images that '
             'are there now.')


@DATASETS.register_module()
class UnlabeledImageDataset(BaseDataset):
    """Images without any annotation.

    A file that cannot be decoded, or has other channels than the rest, never
    ends a run: another image takes its place, and the log names the file once.
    Too many of them do end it, since then the data are not what they should
    be.

    Args:
        data_root (str | Sequence[str]): One or several sources. Each is a
            folder, searched recursively (COCO's ``train2017`` for example), a
            zip or tar, a pattern of names of these (``shards/*.tar``), or a
            ``.txt`` file with the path of one image a line, relative to the
            file's folder.
        pipeline (Sequence[dict]): Transforms, of which the first should be
            :class:`ReadUnlabeledImage` or :class:`LoadUnlabeledImage`.
        crop_size (int, optional): Side in pixels that the transforms in
            ``SIZE_KEYS`` get where they have no size of their own.
        color_type (str): Of :class:`ReadUnlabeledImage` and
            :class:`LoadUnlabeledImage`, where they have none of their own.
            Defaults to 'color'.
        value_range (str | Sequence): The same. By name it is measured in some
            of the images, evenly spread, and said in the log. Defaults to
            'percentiles'.
        img_suffixes (str | Sequence[str]): Endings, in whichever case, by
            which images are known in a folder or archive.
        exclude (str | Sequence[str]): Patterns of
            :func:`fnmatch.fnmatch` for what is no image in a folder: for '/'
            and the path in the folder, in lower case. With any, PNG and its
            like beside a JPEG of the same name are labels as well. What is
            left out is said in the log. Defaults to ``LABELS``.
        max_bad_fraction (float): Share of unreadable files above which
            training stops, in [0, 1]. Defaults to 0.1.
        image_list (str, optional): File with the ``listing`` of an earlier
            data set, whose images are taken, in their order; what the sources
            hold beside them is left out. ``tools/train.py`` sets it for a run
            that is resumed, and only then. Defaults to None: all images.
        **kwargs: As for :class:`mmengine.dataset.BaseDataset`.

    Attributes:
        listing (str): The paths of all images relative to their source, one a
            line, with an empty line between two sources.
        value_range (str | Sequence): As it was measured, if it was.
        num_channels (int, optional): Of the images that were measured.
        cumulative_sizes (list[int]): For each source, how many images it and
            those before it hold, as of mmengine's ``ConcatDataset``.

    Raises:
        FileNotFoundError: If a source is missing, or an image of the list.
        ValueError: If a source holds no image or is damaged, a transform has
            no size, or the first images are constant or of several numbers of
            channels.
    """

    METAINFO = dict(classes=())

    def __init__(self,
                 data_root: Union[str, Sequence[str]],
                 pipeline: Sequence[dict],
                 crop_size: Optional[int] = None,
                 color_type: str = 'color',
                 value_range: ValueRange = 'percentiles',
                 img_suffixes: Union[str, Sequence[str]] = IMAGE_SUFFIXES,
                 exclude: Union[str, Sequence[str]] = LABELS,
                 max_bad_fraction: float = 0.1,
                 image_list: Optional[str] = None,
                 **kwargs) -> None:
        self.sources = [data_root] if isinstance(data_root, str) else data_root
        self.image_list = image_list
        if isinstance(img_suffixes, str):
            img_suffixes = (img_suffixes, )
        self.img_suffixes = tuple(map(str.lower, img_suffixes))
        self.exclude = [exclude] if isinstance(exclude, str) else exclude
        self.max_bad_fraction = max_bad_fraction
        self.value_range = value_range
        self.num_channels = None
        reading = dict(color_type=color_type, value_range=value_range)
        pipeline = [
            _with_size(_with_reading(each, reading), crop_size)
            for each in pipeline
        ]
        super().__init__(pipeline=pipeline, **kwargs)

    def full_init(self) -> None:
        """List the images, and make the record of bad ones."""
        if self._fully_initialized:
            return
        super().full_init()
        # Shared with the worker processes, so that each file is named once.
        self.bad = torch.zeros(len(self), dtype=torch.bool).share_memory_()
        for each in self.pipeline.transforms:
            if isinstance(each, ReadUnlabeledImage):
                paths = [
                    self.get_data_info(index)['img_path']
                    for index in evenly_spread(len(self), NUM_MEASURED)
                ]
                self.value_range, self.num_channels = look_at_first_images(
                    paths, each)
                each.value_range = self.value_range

    def load_data_list(self) -> List[dict]:
        """List the images of all sources, sorted within each of them."""
        names = [self._list(source) for source in self.sources]
        if self.image_list:
            names = self._as_listed(names)
        self.listing = '\n\n'.join(map('\n'.join, names))
        self.cumulative_sizes = list(accumulate(map(len, names)))
        return [
            dict(img_path=_join(folder, name))
            for folder, names_here in zip(map(_folder, self.sources), names)
            for name in names_here
        ]

    def _list(self, source: str) -> List[str]:
        """List the images of one source, relative to it."""
        if osp.isdir(source) or is_archive(source):
            names = self._find(source)
            if self.exclude and not self.image_list:  # as the run began
                names = leave_out_labels(source, names, self.exclude)
            broken = next((name for name in names if '\n' in name), None)
            if broken:
                raise ValueError(
                    printable(f'The name {broken} in {source} has a line '
                              'break, and would be two in a list of images: '
                              'rename it.'))
        elif osp.isfile(source):
            names = _read_list(source)
        else:
            raise FileNotFoundError(
                f'There is no image folder or list at {source}: set '
                'train_dataloader.dataset.data_root.')
        if not names:
            raise ValueError(
                f'{source} holds no image (looked for '
                f'{", ".join(self.img_suffixes)}, recursively'
                f'{other_suffixes(source)}): set '
                'train_dataloader.dataset.data_root to a folder of images.')
        return names

    def _find(self, source: str) -> List[str]:
        """Find the images of a folder or archive, relative to the folder."""
        if is_archive(source):
            return find_members(source, self.img_suffixes)
        begin = len(osp.join(source, ''))
        return sorted(path[begin:]
                      for path in find_files(source, self.img_suffixes))

    def _as_listed(self, found: List[List[str]]) -> List[List[str]]:
        """Take the images of the list, if all of them were found."""
        listing = os.fsdecode(get(self.image_list))
        listed = [names.split('\n') for names in listing.split('\n\n')]
        if len(listed) != len(found):
            raise ValueError(
                f'{self.image_list} lists the images with which this run '
                f'began, from {len(listed)} sources, but data_root has '
                f'{len(found)}: {LIST_HELP}')
        missing = [
            osp.join(_folder(source), name)
            for source, *names in zip(self.sources, listed, found)
            for name in set(names[0]).difference(names[1])
        ]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of the images with which this run began '
                f'({self.image_list}) are missing, among them '
                f'{printable(min(missing))}: {LIST_HELP}')
        # As found, since those in archives know where they are.
        known = [{name: name for name in names} for names in found]
        listed = [
            list(map(names.get, wanted))
            for names, wanted in zip(known, listed)
        ]
        left_out = sum(map(len, found)) - sum(map(len, listed))
        if left_out:
            print_log(
                f'Left out: {left_out} images that are not in '
                f'{self.image_list}, since the run began without them.',
                logger='current')
        return listed

    def prepare_data(self, index: int) -> Union[dict, None]:
        """Run the pipeline; None if the file cannot be read.

        Then :class:`~mmengine.dataset.BaseDataset` draws another one.
        """
        try:
            data = super().prepare_data(index)
            self._require_channels(data or {}, index)
            return data
        except UnreadableImageError as error:
            self._report_bad(index, error)
            return None

    def _require_channels(self, data: dict, index: int) -> None:
        """Raise an UnreadableImageError for what fits in no batch."""
        image = data.get('inputs')
        if None not in (image, self.num_channels) and (len(image)
                                                       != self.num_channels):
            raise UnreadableImageError(
                printable(f'{self.get_data_info(index)["img_path"]}: it has '
                          f'{len(image)} channel(s), but the others have '
                          f'{self.num_channels}; to take it as well, set '
                          'train_dataloader.dataset.color_type to color or '
                          'grayscale'))

    def _report_bad(self, index: int, error: UnreadableImageError) -> None:
        """Count a bad file, name it once, and stop if there are too many."""
        if self.bad[index]:
            return
        self.bad[index] = True
        count = int(self.bad.sum())
        print_log(
            f'Skipped an unreadable image ({count} of {len(self)} so far): '
            f'{error}',
            logger='current',
            level=logging.WARNING)
        if count > self.max_bad_fraction * len(self):
            raise RuntimeError(
                f'{count} of {len(self)} images cannot be read, more than '
                f'max_bad_fraction={self.max_bad_fraction} allows; the log '
                'names them. Mend the files, or raise '
                'train_dataloader.dataset.max_bad_fraction.')


def _folder(source: str) -> str:
    """The folder to which the paths of a source are relative."""
    return source if osp.isdir(source) else osp.dirname(source)


def _join(folder: str, name: str) -> str:
    """Put the folder before a name, of which an image in an archive keeps what
    it knows."""
    path = osp.join(folder, name)
    if isinstance(name, ArchivedImage):
        return ArchivedImage(path, name.archive, name.place)
    return path


def _read_list(path: str) -> List[str]:
    """Read the paths in a list, one a line; names of files are bytes, and need
    be no UTF-8."""
    with open(path, 'rb') as file:
        content = file.read(2**16)
        if b'\0' not in content:  # of what is no list, the rest may be huge
            content += file.read()
    text = os.fsdecode(content).removeprefix('\ufeff')
    if '\0' in text:
        raise ValueError(
            f'{path} is no list of images: give a text file with one path a '
            'line in train_dataloader.dataset.data_root, a folder, or an '
            'archive whose name ends in .zip or .tar.')
    return [line.strip() for line in text.split('\n') if line.strip()]


def _with_reading(transform: dict, reading: dict) -> dict:
    """Give a transform that reads images what it lacks of the settings."""
    if (isinstance(transform, dict)
            and transform['type'].split('.')[-1] in READING):
        return {**reading, **transform}
    return transform


def _with_size(transform: dict, crop_size: Optional[int]) -> dict:
    """Give a transform the size of the crop, if it lacks one."""
    if not isinstance(transform, dict):
        return transform
    key = SIZE_KEYS.get(transform['type'].split('.')[-1])
    if key is None or key in transform:
        return transform
    if crop_size is None:
        raise ValueError(
            f'{transform["type"]} has no {key}: set '
            'train_dataloader.dataset.crop_size, in pixels, which is that of '
            'all pipelines.')
    return {**transform, key: crop_size}
