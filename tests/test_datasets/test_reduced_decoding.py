"""Crops of reduced JPEGs against whole decoding by mmpretrain and Pillow."""
import io

import numpy as np
import pytest
import torch
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import ExifTags, Image

from mask_jepa.datasets import (DecodeRandomResizedCrop, EncodedImage,
                                ReadUnlabeledImage, SeededIndex,
                                UnlabeledImageDataset, UnreadableImageError,
                                load_seeded)

CROP = dict(crop_ratio_range=(0.2, 1.0))
OURS = [
    dict(type='ReadUnlabeledImage'),
    dict(type='DecodeRandomResizedCrop', **CROP),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUnlabeledInputs', meta_keys=('ori_shape', ))
]
STOCK = [
    dict(type='mmpretrain.LoadImageFromFile'),
    dict(type='mmpretrain.RandomResizedCrop', **CROP),
    dict(type='mmpretrain.RandomFlip', prob=0.5),
    dict(type='mmpretrain.PackInputs')
]


def encode(image, kind='jpeg', **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(paths):
    """One with detail in both directions."""
    return Image.open(paths[0]).convert('RGB')


def difference(one, other):
    """Mean of the absolute difference, of 255 levels."""
    return np.abs(np.subtract(one, other, dtype=float)).mean()


def test_large_crops_are_those_of_mmpretrain(real_data, tmp_path):
    """Where nothing is reduced: crop, mirroring and every pixel."""
    listing = tmp_path / 'list.txt'
    listing.write_text('\n'.join(map(str, real_data)))
    ours, stock = (
        UnlabeledImageDataset(str(listing), pipeline, crop_size=400)
        for pipeline in (OURS, STOCK))
    for index in range(len(real_data)):
        expected, found = (
            load_seeded(each, [SeededIndex(index, index)])[0]
            for each in (stock, ours))
        assert torch.equal(found['inputs'], expected['inputs'])
        assert (found['data_samples'].ori_shape ==
                expected['data_samples'].ori_shape)


@pytest.mark.parametrize('size', [32, 64])
def test_small_crops_are_the_same_places(real_data, size):
    """Against Pillow, which averages all pixels of the whole image.

    mmpretrain's interpolation skips some of them, so it comes less near.
    """
    read, ours = ReadUnlabeledImage(), DecodeRandomResizedCrop(size, **CROP)
    stock = RandomResizedCrop(size, **CROP)
    errors = []
    for seed, path in enumerate(real_data):
        whole = Image.open(path).convert('RGB')
        np.random.seed(seed)
        top, left, height, width = stock.rand_crop_params(np.asarray(whole))
        assert min(height, width) >= 2 * size  # reduced
        expected = np.asarray(whole.resize(
            (size, size), Image.Resampling.BILINEAR,
            (left, top, left + width, top + height)))[..., ::-1]
        images = []
        for transform, results in (
                (ours, read(dict(img_path=str(path)))),
                (stock, dict(img=np.asarray(whole)[..., ::-1]))):
            np.random.seed(seed)
            images.append(transform(results)['img'])
        errors.append([difference(image, expected) for image in images])
        assert errors[-1][0] < 12
        # A place one pixel aside fits worse.
        inner = expected[1:-1, 1:-1]
        for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
            aside = images[0][rows:rows + size - 2, columns:columns + size - 2]
            assert difference(aside, inner) > errors[-1][0]
    median = np.median(errors, 0)
    assert median[0] < 6 and median[0] < median[1]


@pytest.mark.parametrize('kind, length, min_length, expected', [
    ('jpeg', 512, 256, 256),
    ('jpeg', 511, 256, 511),
    ('jpeg', 1000, 256, 500),
    ('jpeg', 1000, 250, 250),
    ('jpeg', 1000, 125, 125),
    ('jpeg', 1000, 10, 125),  # JPEG has no smaller scale
    ('jpeg', 40, 256, 40),
    ('png', 1000, 10, 1000),
])
def test_the_smallest_sufficient_scale_is_decoded(kind, length, min_length,
                                                  expected):
    encoded = EncodedImage(encode(Image.new('RGB', (1003, 1001)), kind))
    assert encoded.shape == (1001, 1003)
    for height, width in ((1000, length), (length, 1000)):
        crop = encoded.crop(
            0, 0, height, width, min_shape=(min_length, min_length))
        assert crop.shape == (round(height * expected / length),
                              round(width * expected / length), 3)


@pytest.mark.parametrize('orientation', range(10))  # 0 and 9 mean nothing
@pytest.mark.parametrize('grey', [False, True])
def test_crop_is_of_the_image_as_it_is_shown(real_data, orientation, grey):
    image = photo(real_data).convert('L' if grey else 'RGB')
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    encoded = EncodedImage(encode(image, exif=exif, quality=95))
    turn = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90}.get(orientation)
    shown = image if turn is None else image.transpose(turn)
    assert encoded.shape == shown.size[::-1]
    for reduction in (1, 2, 4):
        crop = encoded.crop(16, 8, 160, 240,
                            min_shape=(160 // reduction, 240 // reduction))
        expected = shown.convert('RGB').crop((8, 16, 248, 176)).reduce(
            reduction)
        assert difference(crop, np.asarray(expected)[..., ::-1]) < 6


def test_other_colours_are_reduced_as_well(real_data):
    image = photo(real_data)
    whole = EncodedImage(encode(image.convert('CMYK'), quality=95))
    crop = whole.crop(0, 0, 200, 200, min_shape=(100, 100))
    expected = image.crop((0, 0, 200, 200)).reduce(2)
    assert difference(crop, np.asarray(expected)[..., ::-1]) < 8


def load(content, tmp_path, size=32):
    path = tmp_path / 'photo.jpg'
    path.write_bytes(content)
    results = ReadUnlabeledImage()(dict(img_path=str(path)))
    return DecodeRandomResizedCrop(size)(results)['img']


@pytest.mark.parametrize('size', [32, 1000])  # reduced, and whole
@pytest.mark.parametrize('share', [0.0, 0.01, 0.3, 0.99])
@pytest.mark.parametrize('orientation, progressive', [
    (1, False), (1, True), (6, False)])
def test_truncated_file_is_refused(real_data, tmp_path, size, share,
                                   orientation, progressive):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encode(photo(real_data), exif=exif, progressive=progressive)
    assert load(content, tmp_path, size).shape == (size, size, 3)
    with pytest.raises(UnreadableImageError, match='photo.jpg: .'):
        load(content[:int(share * len(content))], tmp_path, size)


def test_what_follows_an_image_does_no_harm(real_data):
    content = encode(photo(real_data))
    expected = EncodedImage(content).whole
    assert np.array_equal(EncodedImage(content + b'phone').whole, expected)


@pytest.mark.parametrize('progressive', [False, True])
def test_broken_bytes_are_judged_as_by_pillow(real_data, progressive):
    """It refuses some of them, and makes the best of most."""
    content = encode(
        photo(real_data).resize((160, 120)), progressive=progressive)
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(700, len(content), 150):
        broken = bytearray(content)
        broken[place:place + 8] = rng.bytes(8)
        broken = bytes(broken)
        try:
            pixels = np.asarray(Image.open(io.BytesIO(broken)).convert('RGB'))
        except OSError:
            refused += 1
            with pytest.raises(OSError):
                EncodedImage(broken).whole
        else:
            found = EncodedImage(broken).whole
            assert np.array_equal(found, pixels[..., ::-1])
    assert 0 < refused < 75
