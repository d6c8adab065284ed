"""Pixel values of every kind of file against values known beforehand."""
import io

import numpy as np
import pytest
from PIL import Image

from projects.mask_jepa.datasets import (LoadUnlabeledImage,
                                         UnreadableImageError)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def load(path, **options):
    return LoadUnlabeledImage(**options)(dict(img_path=str(path)))['img']


def as_rgb(image):
    return image[..., ::-1]


@pytest.fixture
def photo(tmp_path):
    """A smooth colour image and its JPEG file."""
    ramp = np.linspace(0, 255, 48).astype(np.uint8)
    pixels = np.stack([
        np.tile(ramp, (32, 1)),
        np.tile(ramp[::-1], (32, 1)),
        np.tile(ramp[:32, None], (1, 48))
    ], -1)
    path = tmp_path / 'photo.jpg'
    Image.fromarray(pixels).save(path, quality=95, subsampling=0)
    return pixels, path


def test_colour_comes_as_bgr(tmp_path):
    path = tmp_path / 'colour.png'
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    results = LoadUnlabeledImage()(dict(img_path=str(path)))
    assert results['img'].dtype == np.uint8
    assert np.array_equal(results['img'], pixels[..., ::-1])
    assert results['img_shape'] == results['ori_shape'] == (5, 7)
    assert load(path, to_float32=True).dtype == np.float32


def test_jpeg(photo):
    pixels, path = photo
    assert np.abs(as_rgb(load(path)).astype(int) - pixels).mean() < 3


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_greyscale_is_repeated(tmp_path, suffix):
    grey = np.tile(np.arange(0, 240, 8, dtype=np.uint8), (20, 1))
    path = tmp_path / f'grey.{suffix}'
    Image.fromarray(grey).save(path, quality=100)
    image = load(path)
    assert np.array_equal(image[..., 0], image[..., 1])
    assert np.array_equal(image[..., 0], image[..., 2])
    assert np.abs(image[..., 0].astype(int) - grey).max() <= 2


@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_16_bit_greyscale_keeps_its_range(tmp_path, suffix):
    """Pillow alone would clip nearly all of it to white."""
    grey = np.tile(np.arange(0, 65536, 1024, dtype=np.uint16), (10, 1))
    path = tmp_path / f'deep.{suffix}'
    Image.fromarray(grey).save(path)
    image = load(path)
    assert image.dtype == np.uint8 and image.shape == (10, 64, 3)
    expected = np.repeat(grey[..., None] / 257, 3, -1)
    assert np.abs(image - expected).max() <= 1


def test_cmyk_jpeg(tmp_path):
    """Pure cyan is no red, and so on; black ink darkens everything."""
    inks = np.zeros((16, 64, 4), np.uint8)
    for index, ink in enumerate([(255, 0, 0, 0), (0, 255, 0, 0),
                                 (0, 0, 255, 0), (0, 0, 0, 255)]):
        inks[:, 16 * index:16 * (index + 1)] = ink
    path = tmp_path / 'cmyk.jpg'
    Image.fromarray(inks, 'CMYK').save(path, quality=100, subsampling=0)
    image = as_rgb(load(path)).astype(int)
    for index, colour in enumerate([(0, 255, 255), (255, 0, 255),
                                    (255, 255, 0), (0, 0, 0)]):
        square = image[4:12, 16 * index + 4:16 * index + 12]
        assert np.abs(square - colour).max() <= 6


@pytest.mark.parametrize('transparency', [None, 1])
def test_palette(tmp_path, transparency):
    """Colours of the palette, also where one of them is transparent."""
    image = Image.new('P', (6, 4))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([column // 2 for _ in range(4) for column in range(6)])
    path = tmp_path / 'palette.png'
    options = {} if transparency is None else dict(transparency=transparency)
    image.save(path, **options)
    with Image.open(path) as saved:
        assert saved.mode == 'P'
    loaded = as_rgb(load(path))
    expected = np.tile(
        np.repeat(np.uint8([RED, GREEN, BLUE]), 2, 0), (4, 1, 1))
    assert np.array_equal(loaded, expected)


def test_alpha_channel_is_dropped(tmp_path):
    rgba = np.random.default_rng(1).integers(0, 256, (4, 5, 4), np.uint8)
    path = tmp_path / 'alpha.png'
    Image.fromarray(rgba, 'RGBA').save(path)
    assert np.array_equal(as_rgb(load(path)), rgba[..., :3])


@pytest.mark.parametrize('orientation, undo', [
    (3, lambda image: image[::-1, ::-1]),
    (6, lambda image: np.rot90(image, -1)),
    (8, lambda image: np.rot90(image, 1)),
])
def test_exif_orientation_is_applied(tmp_path, orientation, undo):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 255  # The top left of the stored image is white.
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / 'turned.jpg'
    Image.fromarray(pixels).save(path, quality=100, exif=exif)
    image = load(path)
    expected = undo(pixels)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= 8


def bad_contents(photo):
    whole = photo[1].read_bytes()
    png = io.BytesIO()
    Image.fromarray(photo[0]).save(png, 'PNG')
    png = png.getvalue()
    return {
        'zero_byte': b'',
        'corrupt': b'this is no image at all' * 50,
        'corrupt_header': b'\x00' * 20 + whole[20:],
        'truncated_half': whole[:len(whole) // 2],
        'truncated_png': png[:len(png) // 2],
        'header_alone': whole[:30],
    }


@pytest.mark.parametrize('kind', [
    'zero_byte', 'corrupt', 'corrupt_header', 'truncated_half',
    'truncated_png', 'header_alone'
])
def test_bad_file_is_named(tmp_path, photo, kind):
    path = tmp_path / 'bad.jpg'
    path.write_bytes(bad_contents(photo)[kind])
    with pytest.raises(UnreadableImageError, match='bad.jpg: .+'):
        load(path)


def test_truncated_16_bit_file_is_named(tmp_path):
    """OpenCV alone would return the missing half black."""
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64), np.uint16)
    path = tmp_path / 'deep.png'
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.raises(UnreadableImageError, match='deep.png: .+'):
        load(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableImageError, match='missing.jpg'):
        load(tmp_path / 'missing.jpg')


def test_real_photographs_are_decoded_as_opencv_does(real_data):
    """Another decoder's pixels, but for the rounding of the JPEGs."""
    import cv2
    for path in real_data:
        image = load(path)
        other = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert image.shape == other.shape
        assert np.abs(image.astype(int) - other).mean() < 2
