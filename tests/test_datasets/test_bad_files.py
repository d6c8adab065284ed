"""Bad files are skipped, counted and named once in the log."""
import os
import struct
import zlib

import pytest
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from PIL import Image
from torch.utils.data import DataLoader

from mask_jepa.datasets import (LoadUnlabeledImage, ReadUnlabeledImage,
                                SeekableInfiniteSampler, UnlabeledImageDataset,
                                UnreadableImageError)

BAD = ('corrupt.jpg', 'truncated.jpg', 'zero.png')
WHOLE = [dict(type='LoadUnlabeledImage')]
CROPPED = [
    dict(type='ReadUnlabeledImage'),
    dict(type='DecodeRandomResizedCrop', scale=16)
]


@pytest.fixture
def spoilt_folder(image_folder):
    """Eight good images, of different sizes, and three bad ones."""
    whole = (image_folder / 'scene_0.jpg').read_bytes()
    (image_folder / 'corrupt.jpg').write_bytes(b'\x07' * 999)
    (image_folder / 'truncated.jpg').write_bytes(whole[:len(whole) // 3])
    (image_folder / 'zero.png').write_bytes(b'')
    Image.new('L', (60, 50)).save(image_folder / 'nested' / 'grey.png')
    return image_folder


@pytest.fixture
def log(tmp_path):
    """Read what the current logger has written."""
    path = tmp_path / 'test.log'
    MMLogger.get_instance('named_once', log_file=str(path))
    return path.read_text


def warnings_of(text):
    return [line for line in text.splitlines() if 'unreadable' in line]


@pytest.mark.parametrize('num_workers, pipeline', [
    (0, WHOLE), (2, WHOLE), (2, CROPPED)])
def test_each_is_named_once_over_several_epochs(spoilt_folder, log,
                                                num_workers, pipeline):
    dataset = UnlabeledImageDataset(
        str(spoilt_folder), pipeline, max_bad_fraction=0.3)
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=num_workers,
        collate_fn=pseudo_collate,
        multiprocessing_context='fork' if num_workers else None)
    for _ in range(3):
        names = [path for batch in loader for path in batch['img_path']]
        assert len(names) == 12
        assert not any(path.endswith(BAD) for path in names)
    lines = warnings_of(log())
    assert len(lines) == len(BAD)
    for name in BAD:
        assert sum(name in line for line in lines) == 1
    counts = sorted(line.split('image (')[1][:10] for line in lines)
    assert counts == ['1 of 12 so', '2 of 12 so', '3 of 12 so']


def test_persistent_workers_name_each_once(spoilt_folder, log):
    dataset = UnlabeledImageDataset(
        str(spoilt_folder), [dict(type='LoadUnlabeledImage')],
        max_bad_fraction=0.3)
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=2,
        persistent_workers=True,
        sampler=SeekableInfiniteSampler(dataset, seed=0),
        collate_fn=pseudo_collate,
        multiprocessing_context='fork')
    for _ in range(2):
        for _, batch in zip(range(12), loader):
            assert not any(path.endswith(BAD) for path in batch['img_path'])
    assert len(warnings_of(log())) == len(BAD)
    assert int(dataset.bad.sum()) == len(BAD)


def read_all(dataset):
    return [dataset[index]['img_path'] for index in range(len(dataset))]


def test_too_many_end_the_run(spoilt_folder, log):
    dataset = UnlabeledImageDataset(
        str(spoilt_folder), [dict(type='LoadUnlabeledImage')],
        max_bad_fraction=0.2)
    with pytest.raises(RuntimeError, match='3 of 12 .*max_bad_fraction=0.2'):
        read_all(dataset)
    assert len(warnings_of(log())) == len(BAD)


def test_the_limit_itself_is_allowed(spoilt_folder, log):
    dataset = UnlabeledImageDataset(
        str(spoilt_folder), [dict(type='LoadUnlabeledImage')],
        max_bad_fraction=0.25)
    assert len(read_all(dataset)) == 12


def test_too_many_end_the_run_from_a_worker_as_well(spoilt_folder, log):
    dataset = UnlabeledImageDataset(
        str(spoilt_folder), [dict(type='LoadUnlabeledImage')],
        max_bad_fraction=0.1)
    loader = DataLoader(
        dataset,
        num_workers=1,
        collate_fn=pseudo_collate,
        multiprocessing_context='fork')
    with pytest.raises(RuntimeError, match='max_bad_fraction=0.1'):
        list(loader)


@pytest.mark.slow
def test_good_folder_is_silent(image_folder, log):
    dataset = UnlabeledImageDataset(
        str(image_folder), [dict(type='LoadUnlabeledImage')])
    assert len(set(read_all(dataset))) == len(dataset) == 8
    assert warnings_of(log()) == []

# Files that are no photographs, but traps.


def refusal(path, **options):
    """The sentence with which both ways of reading refuse a file."""
    sentences = set()
    for transform in (LoadUnlabeledImage, ReadUnlabeledImage):
        with pytest.raises(UnreadableImageError) as caught:
            transform(**options)(dict(img_path=str(path)))
        sentences.add(str(caught.value))
    sentence, = sentences
    assert sentence.startswith(str(path)) and sentence.isprintable()
    return sentence


def test_only_regular_files_are_opened(tmp_path):
    fifo, link = tmp_path / 'fifo.jpg', tmp_path / 'endless.jpg'
    os.mkfifo(fifo)
    link.symlink_to('/dev/zero')
    for path in (fifo, link, tmp_path):
        assert 'it is no regular file' in refusal(path)


def test_file_is_no_longer_than_its_pixels_can_be(tmp_path):
    path = tmp_path / 'sparse.png'
    with path.open('wb') as file:
        file.truncate(3 * 2**30)
    assert '3221225472 bytes long, more than 269484032' in refusal(path)


def png_header(width, height):
    """A PNG file that ends before its first pixel."""
    chunk = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + chunk
            + struct.pack('>I', zlib.crc32(chunk)) + bytes(4) + b'IDAT')


@pytest.mark.slow
def test_header_decides_on_the_pixels(tmp_path):
    path = tmp_path / 'bomb.png'
    path.write_bytes(png_header(13000, 13000))
    assert ('it has 13000 x 13000 pixels, more than max_pixels=67108864: '
            'leave it out, or raise '
            'train_dataloader.dataset.pipeline.0.max_pixels'
            in refusal(path))
    # Also beyond what Pillow allows by itself.
    read = ReadUnlabeledImage(max_pixels=13000**2)(dict(img_path=str(path)))
    assert read['encoded_image'].image.size == (13000, 13000)
    path.write_bytes(png_header(20000, 20000))
    assert 'more than max_pixels=399999999' in refusal(
        path, max_pixels=20000**2 - 1)
    whole = tmp_path / 'whole.png'
    Image.new('RGB', (20, 10)).save(whole)
    read = LoadUnlabeledImage(max_pixels=200)(dict(img_path=str(whole)))
    assert read['img'].shape == (10, 20, 3)
    assert 'more than max_pixels=199' in refusal(whole, max_pixels=199)


def test_stripe_is_refused(tmp_path):
    """Resized by its short edge, it would fill the memory."""
    path = tmp_path / 'stripe.png'
    Image.new('1', (65500, 1)).save(path)
    assert '65500 x 1 pixels are a stripe' in refusal(path)
    Image.new('L', (100, 1)).save(path)
    assert LoadUnlabeledImage()(dict(img_path=str(path)))['img_shape'] == (
        1, 100)


def test_programs_are_not_run_by_another_name(tmp_path):
    """Pillow would start Ghostscript for EPS, however the file is called."""
    image, path = Image.new('RGB', (8, 8), 'red'), tmp_path / 'image.jpg'
    image.save(path, 'EPS')
    with Image.open(path) as opened:
        assert opened.format == 'EPS'
    assert 'not an image of a known format' in refusal(path)


def test_names_are_logged_without_control_characters(tmp_path, log):
    names = [b'\x1b[2J.jpg', b'\xff\xfe.jpg', 'wei\u00df \u732b.jpg'.encode()]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(b'')
    dataset = UnlabeledImageDataset(str(tmp_path), WHOLE, max_bad_fraction=1)
    for index in range(3):
        assert dataset.prepare_data(index) is None
    text = log()
    assert '\x1b' not in text
    for name in ('\\x1b[2J', '\\udcff\\udcfe', 'wei\u00df \u732b'):
        assert f'/{name}.jpg: the file is empty' in text


def test_other_channels_than_the_rest_are_skipped(tmp_path, log):
    """Among images that are looked at first there is none of them."""
    for number in range(40):
        mode = 'RGB' if number == 7 else 'RGBA'
        Image.effect_noise((40, 40), 80).convert(mode).save(
            tmp_path / f'{number:02}.png')
    dataset = UnlabeledImageDataset(
        str(tmp_path),
        [*WHOLE, dict(type='PackUnlabeledInputs', meta_keys=())],
        color_type='unchanged',
        max_bad_fraction=0.1)
    shapes = {tuple(dataset[index]['inputs'].shape) for index in range(40)}
    assert shapes == {(4, 40, 40)}
    line, = warnings_of(log())
    assert '07.png: it has 3 channel(s), but the others have 4' in line
