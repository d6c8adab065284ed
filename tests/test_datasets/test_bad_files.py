"""Bad files are skipped, counted and named once in the log."""
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from PIL import Image
from torch.utils.data import DataLoader

from projects.mask_jepa.datasets import (SeekableInfiniteSampler,
                                         UnlabeledImageDataset)

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
