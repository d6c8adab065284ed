import os
import stat
from contextlib import contextmanager
from typing import Iterator, Optional

import cv2
import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import UnidentifiedImageError

from ..utils import printable
from .archives import ArchivedImage
from .deep_image import PERCENTILES, ValueRange
from .encoded_image import MAX_PIXELS, PILLOW_FLAGS, EncodedImage


class UnreadableImageError(Exception):
    """An image file that is missing, or that cannot be decoded whole."""


@contextmanager
def unreadable(path: str) -> Iterator[None]:
    """Turn any error of a block into an UnreadableImageError with a path."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise UnreadableImageError(
            printable(f'{path}: not an image of a known format')) from error
    except Exception as error:
        # Image libraries raise nearly every type on broken bytes.
        reason = str(error) or type(error).__name__
        raise UnreadableImageError(printable(f'{path}: {reason}')) from error


@TRANSFORMS.register_module()
class ReadUnlabeledImage(BaseTransform):
    """Read an image file for :class:`DecodeRandomResizedCrop`.

    Args:
        max_pixels (int): Most pixels that an image may have, above 0. To
            decode one takes a process up to 8 bytes a pixel. Defaults to
            67,108,864.
        color_type (str): 'color' gives BGR; 'grayscale' one channel;
            'unchanged' those of the file. Defaults to 'color'.
        value_range (str | Sequence): What becomes 0 and 255 in images of more
            than 8 bits a channel: two numbers (or two of each channel),
            'percentiles' (0.1 and 99.9) or 'data' (the lowest and the
            highest). The last two are measured in the first images by
            :class:`UnlabeledImageDataset`; in another data set, in each
            image. Defaults to 'percentiles'.
        backend_args (dict, optional): Of mmengine's file backend, for remote
            storage. Defaults to None.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    def __init__(self,
                 max_pixels: int = MAX_PIXELS,
                 color_type: str = 'color',
                 value_range: ValueRange = 'percentiles',
                 backend_args: Optional[dict] = None) -> None:
        if color_type not in PILLOW_FLAGS:
            raise ValueError(f'color_type must be one of '
                             f'{", ".join(PILLOW_FLAGS)}, but is '
                             f'{color_type!r}.')
        is_name = isinstance(value_range, str)
        if (value_range not in PERCENTILES if is_name else len(value_range)
                != 2 or not np.less(*np.asarray(value_range, float)).all()):
            raise ValueError(
                f'value_range must be one of {", ".join(PERCENTILES)}, or two '
                f'numbers, the lower one first, but is {value_range!r}.')
        self.max_pixels = max_pixels
        self.color_type = color_type
        self.value_range = value_range
        self.backend_args = backend_args

    def read(self, path: str) -> EncodedImage:
        """Read an image file, if it is one that ends, and of the image the
        header.

        Of local files only regular ones are opened: a FIFO would wait for
        somebody to write. None may be longer than its pixels with four bytes
        each, which formats without compression take.

        Raises:
            UnreadableImageError: If the file is missing, no image, or beyond
                the limits, or a library for it is not installed.
        """
        max_bytes = 4 * self.max_pixels + 2**20
        length = 0  # of a remote file not known
        with unreadable(path):
            if isinstance(path, ArchivedImage):
                length = path.place.size
            elif self.backend_args is None and '://' not in path:
                status = os.stat(path)
                if not stat.S_ISREG(status.st_mode):
                    raise ValueError('it is no regular file')
                length = status.st_size
            if length > max_bytes:
                raise ValueError(
                    f'it is {length} bytes long, more than {max_bytes}: leave '
                    'it out, or raise '
                    'train_dataloader.dataset.pipeline.0.max_pixels')
            content = (
                path.read() if isinstance(path, ArchivedImage) else fileio.get(
                    path, backend_args=self.backend_args))
            return EncodedImage(content, self.max_pixels, self.color_type,
                                self.value_range)

    def transform(self, results: dict) -> dict:
        """Read the file at ``img_path``, as by :meth:`read`.

        Returns:
            dict: With ``encoded_image``, an :class:`EncodedImage`.
        """
        results['encoded_image'] = self.read(results['img_path'])
        results['img_path'] = str(results['img_path'])  # a plain one
        return results


@TRANSFORMS.register_module()
class LoadUnlabeledImage(ReadUnlabeledImage):
    """Load any image in [0, 255], or say that it cannot be read.

    As :class:`EncodedImage` decodes: truncated files are refused, EXIF
    orientation is honoured, and images of more than 8 bits keep their depth.

    Args:
        to_float32 (bool): Turn images of 8 bits into float32 as well.
            Defaults to False.
        **kwargs: As for :class:`ReadUnlabeledImage`.
    """

    def __init__(self, to_float32: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.to_float32 = to_float32

    def transform(self, results: dict) -> dict:
        """Load the image at ``img_path``.

        Returns:
            dict: With ``img``, (H, W, C), or (H, W) if there is one channel,
            uint8 or float32, ``img_shape`` and ``ori_shape``.

        Raises:
            UnreadableImageError: If the file cannot be decoded whole.
        """
        path = results['img_path']
        encoded = self.read(path)
        with unreadable(path):
            image = encoded.whole
        results['img_path'] = str(path)
        if self.to_float32:
            image = image.astype(np.float32)
        results.update(
            img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


@TRANSFORMS.register_module()
class DecodeRandomResizedCrop(RandomResizedCrop):
    """mmpretrain's RandomResizedCrop, drawn before the image is decoded.

    Stands after :class:`ReadUnlabeledImage`, and gives what
    :class:`LoadUnlabeledImage` and
    :class:`mmpretrain.datasets.RandomResizedCrop` give with the same seed, in
    less time: the crops are the same. Where a crop of a JPEG is at least twice
    as large as ``scale`` in both directions, the file is decoded at a half, a
    quarter or an eighth of its size. The edges of the crop are then rounded to
    pixels of that size, so they are off by at most half a pixel of the result;
    and its pixels are means of those that the interpolation would skip.

    Args:
        **kwargs: As for :class:`mmpretrain.datasets.RandomResizedCrop`.
    """

    def transform(self, results: dict) -> dict:
        """Crop, decode and resize an image.

        Returns:
            dict: With ``img``, (H, W, C), or (H, W) if there is one channel,
            uint8 or float32, ``img_shape`` and ``ori_shape``, that of the
            whole image.

        Raises:
            UnreadableImageError: If the file cannot be decoded whole.
        """
        encoded = results.pop('encoded_image')
        with unreadable(results['img_path']):
            shape = encoded.shape
            # It looks at the shape alone.
            place = self.rand_crop_params(np.broadcast_to(np.uint8(0), shape))
            image = encoded.crop(*place, min_shape=self.scale)
        image = mmcv.imresize(
            image,
            tuple(self.scale[::-1]),
            interpolation=self.interpolation,
            backend=self.backend)
        results.update(img=image, img_shape=image.shape[:2], ori_shape=shape)
        return results


@TRANSFORMS.register_module()
class PackUnlabeledInputs(PackDetInputs):
    """mmdet's PackDetInputs in less time.

    OpenCV mirrors an image and takes its channels apart several times faster
    than numpy copies the views that mmcv and mmdet make for that.
    """

    def transform(self, results: dict) -> dict:
        """Pack ``img``, (H, W, C) or (H, W), as mmdet does, to the same
        values."""
        image = results['img']
        if image.strides[1] < 0:  # a view, mirrored by RandomFlip
            image = cv2.flip(image[:, ::-1], 1)
        channels = 1 if image.ndim == 2 else image.shape[2]
        planes = np.empty((channels, *image.shape[:2]), image.dtype)
        cv2.split(image, tuple(planes))
        # So mmdet finds the memory as it wants to leave it.
        results['img'] = planes.transpose(1, 2, 0)
        return super().transform(results)
