"""What the first images tell before a training."""
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mask_jepa.datasets import UnlabeledImageDataset


def make(source, **options):
    return UnlabeledImageDataset(
        source, [dict(type='LoadUnlabeledImage')], **options)


@pytest.fixture
def deep_folder(real_data, tmp_path):
    """Photographs in 12 bits of 16, and one constant image."""
    folder = tmp_path / 'deep'
    folder.mkdir()
    for number, path in enumerate(real_data):
        grey = np.asarray(
            Image.open(path).convert('L').resize((60, 40))).astype(np.uint16)
        grey[0, 0], grey[0, 1] = 0, 255
        Image.fromarray(16 * grey).save(folder / f'{number}.png')
    Image.fromarray(np.full((40, 50), 800, np.uint16)).save(
        folder / 'constant.png')
    return folder


def test_range_is_that_of_all_images_and_said(deep_folder, real_data, log):
    dataset = make(str(deep_folder), value_range='data')
    assert dataset.value_range == (0, 16 * 255)
    assert ('lie between 0 and 4080. Of all images 0 becomes 0 and 4080 '
            'becomes 255') in log()
    assert 'train_dataloader.dataset.value_range=[0,4080]' in log()
    # Not of each by itself.
    assert np.allclose(dataset[len(real_data)]['img'], 800 / 4080 * 255)
    # As given, of other images as well.
    given = make(str(deep_folder), value_range=[0, 8160])
    assert np.allclose(given[0]['img'], dataset[0]['img'] / 2)
    assert log().count('becomes 255') == 1


def test_percentiles_are_the_default(deep_folder, log):
    low, high = make(str(deep_folder)).value_range
    assert 0 <= low < 400 and 2000 < high <= 4080
    assert '(percentiles 0.1 and 99.9;' in log()


def test_photographs_are_silent(real_data, tmp_path, log):
    listing = tmp_path / 'list.txt'
    listing.write_text('\n'.join(map(str, real_data)))
    dataset = make(str(listing))
    assert dataset.value_range == 'percentiles' and dataset.num_channels == 3
    assert 'INFO' not in log()


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'float32'])
def test_constant_images_are_refused(tmp_path, kind):
    for number in range(3):
        pixels = np.full((20, 30), 10 * number, kind)
        Image.fromarray(pixels).save(tmp_path / f'{number}.tif')
    with pytest.raises(ValueError, match=(
            'In each of 3 images .*0.tif on, all pixels are alike')):
        make(str(tmp_path))


def test_channels_that_differ_are_refused(image_folder):
    Image.linear_gradient('L').save(image_folder / 'grey.png')
    assert make(str(image_folder)).num_channels == 3
    assert make(str(image_folder), color_type='grayscale').num_channels == 1
    with pytest.raises(ValueError, match='some have 1 and some 3 channels'):
        make(str(image_folder), color_type='unchanged')


def test_missing_library_is_said_at_start(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydicom', None)
    (tmp_path / 'slice.dcm').write_bytes(bytes(128) + b'DICM')
    with pytest.raises(ValueError, match='DICOM is read by pydicom'):
        make(str(tmp_path))
    # One file among others is skipped, and named.
    Image.linear_gradient('L').save(tmp_path / 'image.png')
    assert make(str(tmp_path)).num_channels == 3


def test_range_is_of_all_channels(tmp_path):
    """Where the places that are looked at come in steps of three values."""
    rng = np.random.default_rng(0)
    image = rng.random((1000, 1000, 3)) * [1000, 10_000, 60_000]
    cv2.imwrite(str(tmp_path / 'a.png'), image.astype(np.uint16))
    low, high = make(str(tmp_path)).value_range
    assert low < 100 and 55_000 < high < 60_000
    # Of the channel with the largest values little is cut.
    dataset = make(str(tmp_path), color_type='unchanged')
    assert (dataset[0]['img'].max((0, 1)) > [3, 40, 254]).all()
