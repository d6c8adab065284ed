import random
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from projects.mask_jepa.datasets import UnlabeledImageDataset

LOAD = [dict(type='LoadUnlabeledImage')]
AUGMENT = [
    dict(type='LoadUnlabeledImage'),
    dict(
        type='mmpretrain.RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs', meta_keys=('img_path', 'img_shape'))
]


def make(source, pipeline=LOAD, **options):
    return UnlabeledImageDataset(source, pipeline, **options)


def paths_of(dataset):
    return [dataset.get_data_info(index)['img_path']
            for index in range(len(dataset))]


def test_folder_is_searched_recursively(image_folder):
    (image_folder / 'notes.txt').write_text('no image')
    shutil.copy(image_folder / 'scene_0.jpg', image_folder / 'LOUD.JPG')
    dataset = make(str(image_folder))
    expected = sorted(
        str(path) for path in image_folder.rglob('*')
        if path.suffix in ('.jpg', '.JPG'))
    assert sorted(paths_of(dataset)) == expected
    assert len(dataset) == 9


def test_several_folders_come_in_order(image_folder, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    for name in ('b.png', 'a.png'):
        Image.new('RGB', (8, 8)).save(other / name)
    dataset = make([str(other), str(image_folder / 'nested')])
    assert paths_of(dataset) == [
        str(other / 'a.png'), str(other / 'b.png'),
        *(str(image_folder / 'nested' / f'scene_{index}.jpg')
          for index in (1, 3, 5, 7))
    ]


def test_text_list_is_relative_to_its_folder(image_folder):
    names = ['scene_4.jpg', 'nested/scene_1.jpg']
    listing = image_folder / 'list.txt'
    listing.write_text('\n'.join(names) + '\n\n')
    dataset = make(str(listing))
    assert paths_of(dataset) == [str(image_folder / name) for name in names]
    assert dataset[1]['img'].shape == (80, 96, 3)


def test_missing_source_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.*data_root'):
        make(str(tmp_path / 'nowhere'))


def test_empty_source_is_named(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty' / 'readme.txt').write_text('nothing')
    with pytest.raises(ValueError, match='empty holds no image.*data_root'):
        make(str(tmp_path / 'empty'))
    (tmp_path / 'empty.txt').write_text('\n')
    with pytest.raises(ValueError, match='empty.txt holds no image'):
        make(str(tmp_path / 'empty.txt'))


def test_one_empty_source_of_two_is_named(image_folder, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty holds no image'):
        make([str(image_folder), str(tmp_path / 'empty')])


def spoil_global_state(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def test_augmentation_follows_the_seed_alone(image_folder):
    dataset = make(str(image_folder), AUGMENT)
    spoil_global_state(1)
    first = dataset[2, 77]
    spoil_global_state(2)
    second = dataset[2, 77]
    assert torch.equal(first['inputs'], second['inputs'])
    others = [dataset[2, seed]['inputs'] for seed in range(70, 77)]
    assert not any(torch.equal(first['inputs'], other) for other in others)


def test_global_random_state_is_left_alone(image_folder):
    dataset = make(str(image_folder), AUGMENT)
    spoil_global_state(5)
    expected = random.random(), np.random.rand(), torch.rand(1)
    spoil_global_state(5)
    dataset[2, 77]
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_replacement_of_a_bad_file_follows_the_seed_alone(image_folder):
    (image_folder / 'scene_0.jpg').write_bytes(b'')
    dataset = make(str(image_folder), max_bad_fraction=0.2)
    bad = paths_of(dataset).index(str(image_folder / 'scene_0.jpg'))
    chosen = set()
    for seed in range(20):
        spoil_global_state(1)
        first = dataset[bad, seed]['img_path']
        spoil_global_state(2)
        assert dataset[bad, seed]['img_path'] == first
        chosen.add(first)
    assert len(chosen) > 3


def test_plain_index_works_too(image_folder):
    dataset = make(str(image_folder))
    assert dataset[3]['img'].shape == (80, 96, 3)


def sized(*transforms):
    return [dict(type='LoadUnlabeledImage'), *transforms]


@pytest.mark.parametrize('pipeline', [
    sized(dict(type='mmpretrain.RandomResizedCrop')),
    sized(dict(type='mmpretrain.ResizeEdge', edge='short'),
          dict(type='mmpretrain.CenterCrop')),
])
def test_one_key_sizes_every_crop(image_folder, pipeline):
    for crop_size in (32, 48):
        dataset = make(str(image_folder), pipeline, crop_size=crop_size)
        assert dataset[0]['img'].shape == (crop_size, crop_size, 3)


def test_crop_of_its_own_stays(image_folder):
    pipeline = sized(dict(type='mmpretrain.ResizeEdge', edge='short'),
                     dict(type='mmpretrain.CenterCrop', crop_size=20))
    dataset = make(str(image_folder), pipeline, crop_size=32)
    assert dataset[0]['img'].shape == (20, 20, 3)


def test_crop_without_any_size_names_the_key(image_folder):
    with pytest.raises(ValueError, match='train_dataloader.dataset.crop_size'):
        make(str(image_folder), sized(dict(type='mmpretrain.CenterCrop')))
