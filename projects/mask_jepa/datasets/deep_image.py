import io
from contextlib import contextmanager
from typing import Iterator, Sequence, Tuple, Union

import cv2
import numpy as np

# By names in a config, the percentiles of the values that become 0 and 255.
PERCENTILES = dict(data=(0, 100), percentiles=(0.1, 99.9))
ValueRange = Union[str, Sequence]
TIFF_BEGINS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


class MissingLibraryError(ImportError):
    """A library that reads a kind of file is not installed."""


@contextmanager
def library_for(kind: str, extra: str) -> Iterator[None]:
    """Say of a library that is missing in a block how to install it."""
    try:
        yield
    except ImportError as error:
        raise MissingLibraryError(
            f'{kind} is read by {error.name}, which is not installed: '
            f"pip install 'mask-jepa[{extra}]'") from error


def is_dicom(content: bytes) -> bool:
    """Tell whether a file is DICOM."""
    return content[128:132] == b'DICM'


def is_tiff(content: bytes) -> bool:
    """Tell whether a file is TIFF or BigTIFF."""
    return content.startswith(TIFF_BEGINS)


def require_size(width: int, height: int, max_pixels: int) -> None:
    """Raise a ValueError if an image has too many pixels."""
    if width * height > max_pixels:
        raise ValueError(
            f'it has {width} x {height} pixels, more than max_pixels='
            f'{max_pixels}: leave it out, or raise '
            'train_dataloader.dataset.pipeline.0.max_pixels')


def read_dicom(content: bytes, max_pixels: int) -> np.ndarray:
    """Read the values of a DICOM image: of CT, Hounsfield units.

    Returns:
        np.ndarray: (H, W), or BGR, (H, W, 3).
    """
    with library_for('DICOM', 'dicom'):
        from pydicom import dcmread
        from pydicom.pixels import apply_modality_lut
    dataset = dcmread(io.BytesIO(content))
    require_size(dataset.Columns, dataset.Rows, max_pixels)
    frames = int(dataset.get('NumberOfFrames') or 1)
    if frames > 1:
        raise ValueError(f'it holds {frames} frames: save each as an image')
    values = dataset.pixel_array
    if values.ndim == 3:
        return values[..., ::-1]
    if dataset.PhotometricInterpretation == 'MONOCHROME1':  # low is bright
        highest = -1 if dataset.PixelRepresentation else (
            2**dataset.BitsStored - 1)
        values = highest - values
    return apply_modality_lut(values, dataset)


def read_tiff(content: bytes, max_pixels: int) -> np.ndarray:
    """Read the values of the first page of a TIFF file, of any kind.

    Returns:
        np.ndarray: (H, W), or (H, W, C), with RGB as BGR.
    """
    with library_for('TIFF of this kind', 'tiff'):
        from tifffile import TiffFile
    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        require_size(page.imagewidth, page.imagelength, max_pixels)
        values = page.asarray()
        if page.axes.startswith('S'):  # a plane for each channel
            values = np.moveaxis(values, 0, -1)
        if values.ndim not in (2, 3) or page.axes.strip('S') != 'YX':
            raise ValueError(f'its axes are {page.axes}, not those of an '
                             'image')
        if page.photometric.name == 'RGB':
            values[..., :3] = values[..., 2::-1]
    return values


def measure_range(values: np.ndarray, kind: str) -> Tuple[float, float]:
    """Find the values that shall become 0 and 255; NaN and infinity are left
    out, and where there is nothing else it is (nan, nan)."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.nan, np.nan
    return tuple(np.percentile(finite, PERCENTILES[kind]).tolist())


def scale(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Scale values to [0, 255], in float32, which keeps their depth.

    Args:
        values (np.ndarray): In any type of numbers, (H, W) or (H, W, C).
        value_range (str | Sequence): What becomes 0 and 255: two numbers, or
            two of each channel, or a name in ``PERCENTILES``, by the image
            itself.

    Returns:
        np.ndarray: Of the same shape. NaN becomes 0.
    """
    if isinstance(value_range, str):
        value_range = measure_range(values, value_range)
    scaled = values.astype(np.result_type(values.dtype, np.float32))
    low, high = np.asarray(value_range, scaled.dtype)
    with np.errstate(divide='ignore', invalid='ignore'):
        scaled -= low
        scaled *= 255 / (high - low)
    np.nan_to_num(scaled, copy=False)
    return scaled.clip(0, 255, out=scaled).astype(np.float32, copy=False)


def change_channels(values: np.ndarray, color_type: str) -> np.ndarray:
    """Bring float32 values, (H, W) or (H, W, C), to the channels that are
    wanted, as mmcv has them: BGR, grey without an axis, or as they are."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    if color_type == 'unchanged':
        return values
    if channels > 4:
        raise ValueError(f'it has {channels} channels: read them by '
                         'train_dataloader.dataset.color_type=unchanged')
    if channels <= 2:  # The second is transparency.
        grey = np.ascontiguousarray(
            values.reshape(*values.shape[:2], -1)[..., 0])
        return grey if color_type == 'grayscale' else cv2.merge([grey] * 3)
    colour = np.ascontiguousarray(values[..., :3])
    if color_type == 'grayscale':
        return cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    return colour
