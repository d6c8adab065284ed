import io
import re
from functools import cached_property
from typing import Tuple

import cv2
import numpy as np
from mmcv.image.io import _pillow2array
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from .deep_image import (ValueRange, change_channels, is_dicom, is_tiff,
                         read_dicom, read_tiff, require_size, scale)

# What is opened, whatever a file is called: Pillow also knows formats that are
# programs, such as EPS, for which it would start Ghostscript.
FORMATS = ('BMP', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')
# A header can state any size. While it decodes this one, a process holds half
# a gigabyte.
MAX_PIXELS = 8192 * 8192
ROWS = 512  # that are taken out of Pillow at a time
MAX_ASPECT = 100  # of the long side to the short one
# What mmcv calls a decoding without the orientation, which is known already.
PILLOW_FLAGS = dict(
    color='color_ignore_orientation',
    grayscale='grayscale_ignore_orientation',
    unchanged='unchanged')
# By the factor by which an image is reduced; JPEG has no others.
CV2_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8
}
# Where headers say what Pillow does not.
SAMPLES_PER_PIXEL, BITS_PER_SAMPLE = 277, 258  # tags of TIFF
PNG_BIT_DEPTH = 24
JPEG2000_BEGIN, JPEG2000_BIT_DEPTH = b'\xff\x4f\xff\x51', 42  # less one
JPEG_END = b'\xff\xd9'
# Within a scan only restart markers, d0 to d7, may stand.
JPEG_MARKER = re.compile(rb'\xff[\x01-\xcf\xd8-\xfe]')


class EncodedImage:
    """An image file in memory, of which only the header has been read.

    OpenCV is the fastest decoder of JPEG here, but returns a truncated one
    half grey. So it gets those in RGB or grey, upright, and whole. Pillow gets
    all others: it refuses truncated files, and gets CMYK, palettes,
    transparency and EXIF orientation right. Both decode JPEG by libjpeg-turbo,
    to the same pixels. What Pillow would cut to 8 bits or three channels goes
    to OpenCV again, or to tifffile, and DICOM to pydicom.

    Args:
        content (bytes): The whole file.
        max_pixels (int): Most pixels that an image may have, above 0.
            Defaults to 67,108,864.
        color_type (str): As in :class:`mmcv.transforms.LoadImageFromFile`:
            'color', 'grayscale', or 'unchanged', the channels of the file.
            Defaults to 'color'.
        value_range (str | Sequence): What becomes 0 and 255 in an image that
            is deep, as for :func:`scale`. Defaults to 'percentiles'.

    Raises:
        Exception: Here and from all methods, of many types, if the bytes are
            no whole image.
    """

    def __init__(self,
                 content: bytes,
                 max_pixels: int = MAX_PIXELS,
                 color_type: str = 'color',
                 value_range: ValueRange = 'percentiles') -> None:
        if not content:
            raise ValueError('the file is empty')
        self.content = content
        self.color_type = color_type
        self.value_range = value_range
        self.is_jpeg = False
        read_values = None
        if is_dicom(content):
            read_values = read_dicom
        else:
            try:
                self.image = self._open()
            except UnidentifiedImageError:
                if not is_tiff(content):
                    raise
                read_values = read_tiff
            else:
                require_size(*self.image.size, max_pixels)
                if color_type == 'unchanged' and self._lacks_channels():
                    read_values = read_tiff
        if read_values is not None:
            self.values = read_values(content, max_pixels)
            self.is_deep = self.values.dtype != np.uint8
            height, width = self.values.shape[:2]
        else:
            self.is_deep = _is_deep(self.image, content)
            width, height = self.image.size
            # Several pictures in one file, as some phones write, are MPO.
            self.is_jpeg = self.image.format in ('JPEG', 'MPO')
            self._header_end = self.image.fp.tell()  # of JPEG: the first scan
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise ValueError(f'{width} x {height} pixels are a stripe, not '
                             'an image to crop from: leave it out')

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

    def _lacks_channels(self) -> bool:
        """Tell whether Pillow leaves out channels, as it does of some TIFF."""
        samples = getattr(self.image, 'tag_v2', {}).get(SAMPLES_PER_PIXEL, 1)
        return samples > len(self.image.getbands())

    @cached_property
    def values(self) -> np.ndarray:
        """What is stored of an image that is deep, (H, W) or (H, W, C), with
        colours as BGR."""
        self.image.load()  # OpenCV would not notice a truncated file.
        if len(self.image.getbands()) == 1:
            return np.asarray(ImageOps.exif_transpose(self.image))
        flag = (
            cv2.IMREAD_UNCHANGED if self.color_type == 'unchanged' else
            cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
        values = cv2.imdecode(np.frombuffer(self.content, np.uint8), flag)
        if values is None:
            raise ValueError('not all of it can be decoded')
        return values

    @cached_property
    def whole(self) -> np.ndarray:
        """All pixels, in [0, 255]: BGR, (H, W, 3), grey, (H, W), or as many
        channels as there are; uint8, or float32 of an image that is deep."""
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
            np.ndarray: As ``whole``, (height, width, ...), each divided by
            the reduction.
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
        """Decode to [0, 255]; JPEG at a fraction of its size, rounded up."""
        if self.is_deep:
            scaled = scale(self.values, self.value_range)
            return change_channels(scaled, self.color_type)
        if 'values' in vars(self):  # 8 bits, but not by Pillow
            return change_channels(self.values, self.color_type)
        if self._is_plain_jpeg():
            flag = CV2_FLAGS[reduction]
            if self.color_type == 'grayscale' or (
                    self.color_type == 'unchanged' and self.image.mode == 'L'):
                flag &= ~cv2.IMREAD_COLOR
            image = cv2.imdecode(
                np.frombuffer(self.content, np.uint8),
                flag | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is not None:
                return image
        # As the pixels of an image can be read in one size only.
        image = self._open()
        if reduction > 1:
            image.draft(None, [side // reduction for side in image.size])
        if 2 <= self.orientation <= 8:
            image = ImageOps.exif_transpose(image)
        return _to_array(image, self.color_type)

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


def _is_deep(image: Image.Image, content: bytes) -> bool:
    """Tell by the header whether a channel has more than 8 bits, of which
    Pillow keeps the highest eight of an image in colour."""
    if image.mode.startswith(('I', 'F')):
        return True
    if image.format == 'PNG':
        return content[PNG_BIT_DEPTH] > 8
    if image.format == 'TIFF':
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8, ))) > 8
    if image.format == 'JPEG2000':
        begin = content.index(JPEG2000_BEGIN)
        return content[begin + JPEG2000_BIT_DEPTH] & 127 > 7
    return False


def _to_array(image: Image.Image, color_type: str) -> np.ndarray:
    """Take the pixels out of Pillow, 8-bit, in the channels that are wanted;
    in pieces, as all at once they would need twice the memory."""
    image.load()
    width, height = image.size
    plain = image.mode in ('L', 'LA', 'RGB', 'RGBA')
    result = None
    for top in range(0, height, ROWS):
        bottom = min(top + ROWS, height)
        part = image.crop((0, top, width, bottom))
        if color_type == 'unchanged' and not plain:
            part = part.convert('L' if image.mode == '1' else 'RGBA' if part.
                                has_transparency_data else 'RGB')
        array = _pillow2array(part, PILLOW_FLAGS[color_type])
        if result is None:
            result = np.empty((height, *array.shape[1:]), np.uint8)
        result[top:bottom] = array
    return result
