import io
import re
from functools import cached_property
from typing import Tuple

import cv2
import mmcv
import numpy as np
from mmcv.image.io import _pillow2array
from PIL import ExifTags, Image, ImageOps

# What is opened, whatever a file is called: Pillow also knows formats that are
# programs, such as EPS, for which it would start Ghostscript.
FORMATS = ('BMP', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')
# A header can state any size. While it decodes this one, a process holds half
# a gigabyte.
MAX_PIXELS = 8192 * 8192
ROWS = 512  # that are taken out of Pillow at a time
MAX_ASPECT = 100  # of the long side to the short one
# By the factor by which an image is reduced; JPEG has no others.
CV2_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8
}
JPEG_END = b'\xff\xd9'
# Within a scan only restart markers, d0 to d7, may stand.
JPEG_MARKER = re.compile(rb'\xff[\x01-\xcf\xd8-\xfe]')


class EncodedImage:
    """An image file in memory, of which only the header has been read.

    OpenCV is the fastest decoder of JPEG here, but returns a truncated one
    half grey. So it gets those in RGB or grey, upright, and whole. Pillow gets
    all others: it refuses truncated files, and gets CMYK, palettes,
    transparency and EXIF orientation right; only 16-bit greyscale, which it
    clips to white, goes to OpenCV again. Both decode JPEG by libjpeg-turbo, to
    the same pixels.

    Args:
        content (bytes): The whole file.
        max_pixels (int): Most pixels that an image may have, above 0.
            Defaults to 67,108,864.

    Raises:
        Exception: Here and from all methods, of many types, if the bytes are
            no whole image.
    """

    def __init__(self, content: bytes, max_pixels: int = MAX_PIXELS) -> None:
        if not content:
            raise ValueError('the file is empty')
        self.content = content
        self.image = self._open()
        width, height = self.image.size
        if width * height > max_pixels:
            raise ValueError(
                f'it has {width} x {height} pixels, more than max_pixels='
                f'{max_pixels}: leave it out, or raise '
                'train_dataloader.dataset.pipeline.0.max_pixels')
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise ValueError(f'{width} x {height} pixels are a stripe, not '
                             'an image to crop from: leave it out')
        if self.image.mode == 'F' or (self.image.mode == 'I'
                                      and self.image.format != 'PNG'):
            raise ValueError('it has 32 bits a channel: convert it to 8 or 16')
        # Several pictures in one file, as some phones write, are MPO.
        self.is_jpeg = self.image.format in ('JPEG', 'MPO')
        self._header_end = self.image.fp.tell()  # of JPEG: the first scan

    def _open(self) -> Image.Image:
        # Its own limit cannot be raised for a data set.
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(self.content), formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit

    @cached_property
    def orientation(self) -> int:
        """As in EXIF; from 5 on the stored rows are columns when shown."""
        return self.image.getexif().get(ExifTags.Base.Orientation, 1)

    @cached_property
    def whole(self) -> np.ndarray:
        """All pixels, 8-bit BGR, (H, W, 3)."""
        return self._decode(reduction=1)

    @cached_property
    def shape(self) -> Tuple[int, int]:
        """Height and width as shown, in pixels; of JPEG from the header."""
        if not self.is_jpeg:
            return self.whole.shape[:2]
        width, height = self.image.size
        return (width, height) if 5 <= self.orientation <= 8 else (height,
                                                                   width)

    def crop(self, top: int, left: int, height: int, width: int,
             min_shape: Tuple[int, int]) -> np.ndarray:
        """Decode a part of the image, not larger than it has to be.

        JPEG is decoded at the smallest of its scales (1, 1/2, 1/4, 1/8) at
        which the part is not smaller than asked for; its edges are rounded to
        the pixels of that scale. Other formats are decoded whole.

        Args:
            top, left, height, width (int): The part, in pixels of ``shape``.
            min_shape (tuple[int, int]): Least height and width of the result,
                unless the part is smaller itself.

        Returns:
            np.ndarray: 8-bit BGR, (height, width, 3), each divided by the
            reduction.
        """
        reduction = 1
        if self.is_jpeg:
            fitting = min(height // min_shape[0], width // min_shape[1])
            reduction = max(factor for factor in CV2_FLAGS
                            if factor <= max(fitting, 1))
        image = self.whole if reduction == 1 else self._decode(reduction)
        rows, columns = (slice(
            round(begin / reduction), round((begin + length) / reduction))
                         for begin, length in ((top, height), (left, width)))
        return image[rows, columns]

    def _decode(self, reduction: int) -> np.ndarray:
        """Decode to 8-bit BGR; JPEG at a fraction of its size, rounded up."""
        if self._is_plain_jpeg():
            image = cv2.imdecode(
                np.frombuffer(self.content, np.uint8),
                CV2_FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is not None:
                return image
        elif self.image.mode.startswith('I'):  # 16 bits
            self.image.load()  # OpenCV would not notice a truncated file.
            image = mmcv.imfrombytes(self.content, flag='color', backend='cv2')
            if image is None:
                raise ValueError('not all of it can be decoded')
            return image
        # As the pixels of an image can be read in one size only.
        image = self._open()
        if reduction > 1:
            image.draft(None, [side // reduction for side in image.size])
        if 2 <= self.orientation <= 8:
            image = ImageOps.exif_transpose(image)
        return _to_bgr(image)

    def _is_plain_jpeg(self) -> bool:
        """Tell whether OpenCV can be trusted with it."""
        if (self.image.format != 'JPEG' or self.image.mode not in ('RGB', 'L')
                or 2 <= self.orientation <= 8
                or not self.content.endswith(JPEG_END)):
            return False
        if 'progressive' in self.image.info:
            return True  # It reads all scans before it gives any pixel.
        # Of a single scan it gives the pixels before a broken place.
        marker = JPEG_MARKER.search(self.content, self._header_end)
        return marker is not None and marker.end() == len(self.content)


def _to_bgr(image: Image.Image) -> np.ndarray:
    """Take the pixels out of Pillow, 8-bit BGR, (H, W, 3); in pieces, as all
    at once they would need twice the memory."""
    image.load()
    width, height = image.size
    result = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, ROWS):
        bottom = min(top + ROWS, height)
        result[top:bottom] = _pillow2array(
            image.crop((0, top, width, bottom)), 'color_ignore_orientation')
    return result
