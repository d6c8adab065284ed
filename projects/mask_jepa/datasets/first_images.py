from typing import List, Optional, Sequence, Tuple

import numpy as np
from mmengine.logging import print_log

from .deep_image import (PERCENTILES, MissingLibraryError, ValueRange,
                         measure_range)
from .loading import ReadUnlabeledImage, UnreadableImageError, unreadable

NUM_VALUES = 2**18  # that are kept of an image
MIN_SHAPE = (64, 64)  # pixels, to which JPEG is decoded


def look_at_first_images(
        paths: Sequence[str],
        reader: ReadUnlabeledImage) -> Tuple[ValueRange, Optional[int]]:
    """Measure images before they are trained on, and say what is unusual.

    Args:
        paths (Sequence[str]): Some of the images. Unreadable ones are passed
            over.
        reader (ReadUnlabeledImage): Reads them.

    Returns:
        tuple: The ``value_range``, in numbers if any image is deep, and the
        number of channels, None if none can be read.

    Raises:
        ValueError: If all images are constant, they differ in channels, or a
            library for them is not installed.
    """
    ranges, channels = [], set()
    deep: List[np.ndarray] = []
    missing: List[str] = []
    for path in paths:
        try:
            encoded = reader.read(path)
            with unreadable(path):
                image = encoded.crop(0, 0, *encoded.shape, MIN_SHAPE)
        except UnreadableImageError as error:
            if isinstance(error.__cause__, MissingLibraryError):
                missing.append(str(error))
            continue
        channels.add(1 if image.ndim == 2 else image.shape[2])
        if encoded.is_deep:
            values = encoded.values
            ranges.append(measure_range(values.ravel(), 'data'))
            # Of a place all channels, which may lie far apart.
            places = values.reshape(-1, *values.shape[2:])
            step = values.size // NUM_VALUES + 1
            deep.append(places[::step].ravel())
        else:
            ranges.append((image.min(), image.max()))
    if missing and not ranges:
        raise ValueError(missing[0])
    if ranges and not any(low < high for low, high in ranges):
        raise ValueError(
            f'In each of {len(ranges)} images that were looked at, from '
            f'{paths[0]} on, all pixels are alike, so nothing can be learned: '
            'give other images.')
    if len(channels) > 1:
        raise ValueError(
            f'Among {len(ranges)} images that were looked at, some have '
            f'{" and some ".join(map(str, sorted(channels)))} channels: set '
            'train_dataloader.dataset.color_type to color or grayscale.')
    value_range = reader.value_range
    if deep and isinstance(value_range, str):
        pooled = np.concatenate(deep)
        lowest, highest = np.nanmin(ranges), np.nanmax(ranges)
        low, high = measure_range(pooled, value_range)
        if not low < high:  # Nearly all is background.
            low, high = lowest, highest
        first, last = PERCENTILES[value_range]
        print_log(
            f'The values of {len(deep)} images that were looked at lie '
            f'between {lowest:g} and {highest:g}. Of all images {low:g} '
            f'becomes 0 and {high:g} becomes 255 (percentiles {first} and '
            f'{last}; to keep that for other images, write '
            f'train_dataloader.dataset.value_range=[{low:g},{high:g}]).',
            logger='current')
        value_range = low, high
    return value_range, channels.pop() if channels else None
