import os
import stat
from contextlib import contextmanager
from typing import Iterator, Optional

import cv2
import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import UnidentifiedImageError

from ..utils import printable
from .encoded_image import MAX_PIXELS, EncodedImage


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


def read_image(path: str, backend_args: Optional[dict],
               max_pixels: int) -> EncodedImage:
    """Read an image file, if it is one that ends, and of the image the header.

    Of local files only regular ones are opened: a FIFO would wait for somebody
    to write. None may be longer than its pixels with four bytes each, which
    formats without compression take.
    """
    max_bytes = 4 * max_pixels + 2**20
    if backend_args is None and '://' not in path:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError('it is no regular file')
        if status.st_size > max_bytes:
            raise ValueError(
                f'it is {status.st_size} bytes long, more than {max_bytes}: '
                'leave it out, or raise '
                'train_dataloader.dataset.pipeline.0.max_pixels')
    content = fileio.get(path, backend_args=backend_args)
    return EncodedImage(content, max_pixels)


@TRANSFORMS.register_module()
class ReadUnlabeledImage(LoadImageFromFile):
    """Read an image file for :class:`DecodeRandomResizedCrop`.

    Args:
        max_pixels (int): Most pixels that an image may have, above 0. To
            decode one takes a process up to 8 bytes a pixel. Defaults to
            67,108,864.
        **kwargs: As for :class:`mmcv.transforms.LoadImageFromFile`, where
            ``backend_args`` matters for remote storage.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS, **kwargs) -> None:
        super().__init__(**kwargs)
        self.max_pixels = max_pixels

    def transform(self, results: dict) -> dict:
        """Read the file at ``img_path``, and of the image the header.

        Returns:
            dict: With ``encoded_image``, an :class:`EncodedImage`.

        Raises:
            UnreadableImageError: If the file is missing, no image, or beyond
                the limits.
        """
        path = results['img_path']
        with unreadable(path):
            results['encoded_image'] = read_image(path, self.backend_args,
                                                  self.max_pixels)
        return results


@TRANSFORMS.register_module()
class LoadUnlabeledImage(ReadUnlabeledImage):
    """Load any photograph as 8-bit BGR, or say that it cannot be read.

    As :class:`EncodedImage` decodes: truncated files are refused, EXIF
    orientation is honoured, and 16-bit greyscale keeps its range.

    Args:
        **kwargs: As for :class:`ReadUnlabeledImage`.
    """

    def transform(self, results: dict) -> dict:
        """Load the image at ``img_path``.

        Returns:
            dict: With ``img`` (H, W, 3), uint8 or float32, ``img_shape`` and
            ``ori_shape``.

        Raises:
            UnreadableImageError: If the file cannot be decoded whole.
        """
        path = results['img_path']
        with unreadable(path):
            image = read_image(path, self.backend_args, self.max_pixels).whole
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
            dict: With ``img`` (H, W, 3), uint8, ``img_shape`` and
            ``ori_shape``, that of the whole image.

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
    """mmdet's PackDetInputs for 8-bit colour images, in less time.

    OpenCV mirrors an image and takes its channels apart several times faster
    than numpy copies the views that mmcv and mmdet make for that.
    """

    def transform(self, results: dict) -> dict:
        """Pack ``img`` (H, W, 3) as mmdet does, to the same values."""
        image = results['img']
        if image.strides[1] < 0:  # a view, mirrored by RandomFlip
            image = cv2.flip(image[:, ::-1], 1)
        planes = np.empty((3, *image.shape[:2]), np.uint8)
        cv2.split(image, tuple(planes))
        # So mmdet finds the memory as it wants to leave it.
        results['img'] = planes.transpose(1, 2, 0)
        return super().transform(results)
