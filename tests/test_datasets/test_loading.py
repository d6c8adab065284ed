"""Pixel values of every kind of file against values known beforehand."""
import io
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mask_jepa.datasets import LoadUnlabeledImage, UnreadableImageError

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


# Images of more than 8 bits.


def save_dicom(path, values):
    """As a CT scanner would, whose values are Hounsfield units plus 1024."""
    pydicom = pytest.importorskip('pydicom')
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file('CT_small.dcm'))
    dataset.Rows, dataset.Columns = values.shape
    dataset.PixelData = (values + 1024).astype(np.int16).tobytes()
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.save_as(path)


def save_tiff(path, values, **options):
    pytest.importorskip('tifffile').imwrite(path, values, **options)


DEEP = {
    '10 bits.png': lambda path, grey, colour: Image.fromarray(
        (4 * grey).astype(np.uint16)).save(path),
    '12 bits.png': lambda path, grey, colour: cv2.imwrite(
        str(path), (16 * colour).astype(np.uint16)),
    '16 bits.tif': lambda path, grey, colour: Image.fromarray(
        (257 * grey).astype(np.uint16)).save(path),
    '12 bits.tif': lambda path, grey, colour: cv2.imwrite(
        str(path), (16 * colour).astype(np.uint16)),
    '16 bits.jp2': lambda path, grey, colour: cv2.imwrite(
        str(path), (257 * colour).astype(np.uint16)),
    'float.tif': lambda path, grey, colour: Image.fromarray(
        np.float32(grey / 255)).save(path),
    'signed.tif': lambda path, grey, colour: Image.fromarray(
        (100 * grey - 9000).astype(np.int32)).save(path),
    'double.tif': lambda path, grey, colour: save_tiff(path, grey / 255),
    'float colour.tif': lambda path, grey, colour: save_tiff(
        path, np.float32(colour[..., ::-1] / 255), photometric='rgb'),
    'planes.tif': lambda path, grey, colour: save_tiff(
        path, np.moveaxis(np.float32(colour[..., ::-1] / 255), -1, 0),
        photometric='rgb', planarconfig='separate'),
    'slice.dcm': lambda path, grey, colour: save_dicom(path, 10 * grey),
}


@pytest.mark.parametrize('name', DEEP)
def test_deep_image_keeps_its_contrast(tmp_path, real_data, name):
    """A photograph in another depth is the photograph."""
    colour = load(real_data[0])[::2, ::2].astype(int)
    colour[0, :2] = [[0], [255]]
    grey = colour[..., 1]
    path = tmp_path / name
    DEEP[name](path, grey, colour)
    image = load(path, value_range='data')
    assert image.dtype == np.float32
    expected = colour
    if name not in ('12 bits.png', '12 bits.tif', '16 bits.jp2',
                    'float colour.tif', 'planes.tif'):
        expected = np.repeat(grey[..., None], 3, -1)
    error = np.abs(image - expected)
    # OpenCV writes JPEG 2000 with losses.
    assert error.max() < 0.01 or name.endswith('jp2') and error.mean() < 3
    # What is given counts, for each image alike, and is not left.
    assert name.endswith(('jp2', 'dcm')) or load(
        path, value_range=(0, 1e6)).max() < 26
    assert load(path, value_range=(-1e9, -1e8)).min() == 255


def test_depth_is_kept(tmp_path):
    """More than the 256 steps of 8 bits."""
    path = tmp_path / 'ramp.png'
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(path)
    assert len(np.unique(load(path, value_range=(0, 4095)))) == 4096


def test_percentiles_leave_out_a_few_hot_pixels(tmp_path):
    values = np.linspace(0, 1, 10000, dtype=np.float32).reshape(100, 100)
    values[50, 50], values[60, 60], values[70, 70] = 1e6, np.nan, np.inf
    path = tmp_path / 'hot.tif'
    Image.fromarray(values).save(path)
    image = load(path)
    assert image[50, 50, 0] == image[70, 70, 0] == 255
    assert image[60, 60, 0] == 0
    assert 126 < image[49, 99, 0] < 130


def test_ct_slice_is_read():
    """The CT slice that pydicom brings along, in Hounsfield units."""
    data = pytest.importorskip('pydicom').data
    path = data.get_testdata_file('CT_small.dcm')
    image = load(path, value_range=(-1024, 1024), color_type='grayscale')
    assert image.shape == (128, 128)
    assert image[0, 0] < 25  # air
    assert image[64, 64] > 230  # bone


def test_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydicom', None)
    path = tmp_path / 'slice.dcm'
    path.write_bytes(bytes(128) + b'DICM')
    with pytest.raises(UnreadableImageError, match=(
            r"by pydicom, .* pip install 'mask-jepa\[dicom\]'")):
        load(path)


# Channels.


@pytest.mark.parametrize('name, pixels, channels', [
    ('rgba.png', 'RGBA', (4, 3, 1)), ('rgba.tif', 'RGBA', (4, 3, 1)),
    ('grey.png', 'L', (1, 3, 1)), ('grey.jpg', 'L', (1, 3, 1)),
    ('colour.jpg', 'RGB', (3, 3, 1)), ('palette.png', 'P', (3, 3, 1)),
    ('bits.png', '1', (1, 3, 1)), ('ink.tif', 'CMYK', (3, 3, 1)),
    ('near_infrared.tif', 4, (4, 3, 1)), ('five.tif', 5, (5, 3, 1)),
    ('deep.png', 'deep', (4, 3, 1)),
])
def test_color_type_gives_these_channels(tmp_path, real_data, name, pixels,
                                         channels):
    path = tmp_path / name
    colour = load(real_data[0])[..., ::-1]
    bands = np.concatenate([colour, 255 - colour], -1)
    if pixels == 'deep':
        cv2.imwrite(str(path), np.uint16(bands[..., [2, 1, 0, 3]]) * 16)
    elif isinstance(pixels, int):
        save_tiff(path, np.ascontiguousarray(bands[..., :pixels]),
                  photometric='rgb', extrasamples=[0] * (pixels - 3))
    else:
        Image.fromarray(colour).convert(pixels).save(path)
    for color_type, count in zip(('unchanged', 'color', 'grayscale'),
                                 channels):
        image = load(path, color_type=color_type, value_range=(0, 4080))
        assert image.shape[2:] == ((count, ) if count > 1 else ())
        if count > 3:  # The first three are BGR in any case.
            assert np.abs(image[..., :3] - colour[..., ::-1]).max() < 0.01
        if count > 3 and pixels != 'RGBA':
            expected = bands[..., 3:count]
            assert np.abs(image[..., 3:] - expected).max() < 0.01


def test_many_bands_are_no_colour(tmp_path):
    path = tmp_path / 'bands.tif'
    bands = np.random.default_rng(0).random((8, 20, 30), np.float32)
    save_tiff(path, bands, photometric='minisblack', planarconfig='separate')
    image = load(path, color_type='unchanged', value_range=(0, 1))
    assert np.allclose(image, 255 * np.moveaxis(bands, 0, -1), atol=1e-3)
    with pytest.raises(UnreadableImageError, match='8 channels: read them by'):
        load(path)


@pytest.mark.parametrize('options', [
    dict(imdecode_backend='pillow'), dict(ignore_empty=True)])
def test_what_is_not_done_is_refused(options):
    with pytest.raises(TypeError):
        LoadUnlabeledImage(**options)


@pytest.mark.parametrize('options', [
    dict(color_type='rgb'), dict(value_range='all'), dict(value_range=(2, 1)),
    dict(value_range=(0, 1, 2))])
def test_wrong_settings_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LoadUnlabeledImage(**options)


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
    for path in real_data:
        image = load(path)
        other = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert image.shape == other.shape
        assert np.abs(image.astype(int) - other).mean() < 2
