import os
import random
import shutil
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

from mask_jepa.datasets import SeededIndex, UnlabeledImageDataset
from mask_jepa.datasets import image_folder as image_folder_module
from mask_jepa.datasets import load_seeded

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


REDUCED = [
    dict(type='ReadUnlabeledImage'),
    dict(type='DecodeRandomResizedCrop', scale=32),
    *AUGMENT[2:]
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


def test_hidden_files_and_links_to_nowhere_are_no_images(image_folder):
    expected = paths_of(make(str(image_folder)))
    (image_folder / '._scene_0.jpg').write_text('of a Mac')
    (image_folder / 'gone.jpg').symlink_to('nowhere.jpg')
    assert paths_of(make(str(image_folder))) == expected
    (image_folder / 'linked').symlink_to('nested')
    assert len(make(f'{image_folder}/')) == len(expected) + 4


def test_earlier_list_keeps_later_images_out(image_folder, tmp_path):
    more = tmp_path / 'more.txt'
    more.write_text('images/scene_2.jpg\nimages/scene_0.jpg\n')
    sources = [str(image_folder), str(more), str(image_folder)]
    before = make(sources)
    listing = tmp_path / 'listing'
    listing.write_text(before.listing)
    assert before.listing.count('nested/scene_3.jpg') == 2
    shutil.copy(image_folder / 'scene_0.jpg', image_folder / 'new.jpg')
    more.write_text(f'images/new.jpg\n{more.read_text()}')
    assert len(make(sources)) == len(before) + 3
    after = make(sources, image_list=str(listing))
    assert paths_of(after) == paths_of(before)
    assert after.listing == before.listing
    # Elsewhere as well.
    image_folder.rename(tmp_path / 'moved')
    moved = make(str(tmp_path / 'moved'))
    listing.write_text(moved.listing)
    assert len(make(str(tmp_path / 'moved'), image_list=str(listing))) == 9


def test_images_missing_from_an_earlier_list_are_named(image_folder,
                                                       tmp_path):
    listing = tmp_path / 'listing'
    listing.write_text(make(str(image_folder)).listing)
    (image_folder / 'nested' / 'scene_3.jpg').unlink()
    (image_folder / 'scene_4.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=(
            '2 of the images .*listing.* are missing, among them '
            '.*nested/scene_3.jpg: put them back, or delete the list')):
        make(str(image_folder), image_list=str(listing))
    with pytest.raises(ValueError, match='from 1 sources.* has 2'):
        make([str(image_folder)] * 2, image_list=str(listing))


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


def seeded(dataset, index, seed):
    return load_seeded(dataset, [SeededIndex(index, seed)])[0]


def spoil_global_state(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.mark.parametrize('pipeline', [AUGMENT, REDUCED])
def test_augmentation_follows_the_seed_alone(image_folder, pipeline):
    dataset = make(str(image_folder), pipeline)
    spoil_global_state(1)
    first = seeded(dataset, 2, 77)
    spoil_global_state(2)
    second = seeded(dataset, 2, 77)
    assert torch.equal(first['inputs'], second['inputs'])
    others = [seeded(dataset, 2, seed)['inputs']
              for seed in range(70, 77)]
    assert not any(torch.equal(first['inputs'], other) for other in others)


def test_global_random_state_is_left_alone(image_folder):
    dataset = make(str(image_folder), AUGMENT)
    spoil_global_state(5)
    expected = random.random(), np.random.rand(), torch.rand(1)
    spoil_global_state(5)
    seeded(dataset, 2, 77)
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_replacement_of_a_bad_file_follows_the_seed_alone(image_folder):
    (image_folder / 'scene_0.jpg').write_bytes(b'')
    dataset = make(str(image_folder), max_bad_fraction=0.2)
    bad = paths_of(dataset).index(str(image_folder / 'scene_0.jpg'))
    chosen = set()
    for seed in range(20):
        spoil_global_state(1)
        first = seeded(dataset, bad, seed)['img_path']
        spoil_global_state(2)
        assert seeded(dataset, bad, seed)['img_path'] == first
        chosen.add(first)
    assert len(chosen) > 3


def test_plain_index_works_too(image_folder):
    dataset = make(str(image_folder))
    assert dataset[3]['img'].shape == (80, 96, 3)


def sized(*transforms):
    return [dict(type='LoadUnlabeledImage'), *transforms]


@pytest.mark.parametrize('pipeline', [
    sized(dict(type='mmpretrain.RandomResizedCrop')),
    [dict(type='ReadUnlabeledImage'), dict(type='DecodeRandomResizedCrop')],
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


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_packed_inputs_are_those_of_mmdet(image_folder, flip):
    ours, stock = (
        make(str(image_folder), sized(
            dict(type='RandomFlip', prob=flip),
            dict(type=packer, meta_keys=('img_path', 'flip'))))[3]
        for packer in ('PackUnlabeledInputs', 'PackDetInputs'))
    assert torch.equal(ours['inputs'], stock['inputs'])
    assert ours['inputs'].is_contiguous()
    assert (ours['data_samples'].metainfo == stock['data_samples'].metainfo
            == dict(img_path=stock['data_samples'].img_path, flip=bool(flip)))


# Folders and lists that are odd.


def test_links_in_circles_end(image_folder):
    expected = paths_of(make(str(image_folder)))
    (image_folder / 'nested' / 'up').symlink_to(image_folder)
    (image_folder / 'itself.jpg').symlink_to('itself.jpg')
    (image_folder / 'there').symlink_to('back')
    (image_folder / 'back').symlink_to('there')
    assert paths_of(make(str(image_folder))) == expected


def test_forbidden_folder_is_left_out_with_a_warning(image_folder,
                                                     monkeypatch):
    expected = [path for path in paths_of(make(str(image_folder)))
                if '/nested/' not in path]

    def scan(folder, scandir=os.scandir):
        if str(folder).endswith('nested'):  # Also a superuser may not.
            raise PermissionError(13, 'Permission denied', folder)
        return scandir(folder)

    monkeypatch.setattr(os, 'scandir', scan)
    with patch.object(image_folder_module, 'print_log') as log:
        assert paths_of(make(str(image_folder))) == expected
    sentence, = (call.args[0] for call in log.call_args_list)
    assert sentence == ("Left out: [Errno 13] Permission denied: "
                        f"'{image_folder}/nested'.")


def test_list_need_be_no_text_of_unicode(image_folder):
    name = os.fsdecode(b'gr\xfcn.jpg')
    shutil.copy(image_folder / 'scene_0.jpg', image_folder / name)
    listing = image_folder / 'list.txt'
    listing.write_bytes(b'\xef\xbb\xbfscene_4.jpg\r\ngr\xfcn.jpg')
    dataset = make(str(listing))
    assert paths_of(dataset) == [str(image_folder / 'scene_4.jpg'),
                                 str(image_folder / name)]
    assert dataset[1]['img'].shape == (80, 96, 3)


def test_file_that_is_no_list_is_named(image_folder):
    with pytest.raises(ValueError, match='scene_0.jpg is no list of images'):
        make(str(image_folder / 'scene_0.jpg'))


def test_name_that_would_be_two_is_refused(image_folder):
    (image_folder / 'a\nb.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=r'The name a\\nb.jpg in .* rename'):
        make(str(image_folder))


def test_folder_of_another_kind_says_what_it_has(tmp_path):
    for name in ('a.gif', 'b.GIF', 'c.txt', 'readme'):
        (tmp_path / name).write_bytes(b'')
    with pytest.raises(ValueError, match=(
            'it has 2 .gif, 1 .txt: see img_suffixes')):
        make(str(tmp_path))


@pytest.mark.parametrize('suffixes', ['.GIF', ['.gif'], ('.Gif', )])
def test_suffixes_in_any_form(tmp_path, suffixes):
    Image.linear_gradient('L').crop((0, 0, 30, 20)).save(tmp_path / 'a.gif')
    dataset = make(str(tmp_path), img_suffixes=suffixes)
    assert dataset[0]['img'].shape == (20, 30, 3)


# What is in a folder of images, but none.


@pytest.mark.parametrize('name', [
    'scene_0.png', 'nested/scene_1.TIF', 'ann_dir/train/x.png',
    'annotations/panoptic_train2017/x.png', 'Masks/x.bmp', 'gtFine/a/x.png',
    'nested/SegmentationClass/x.png', 'x_mask.png', 'x_gtFine_labelIds.png'])
def test_labels_are_left_out_and_said(image_folder, log, name):
    expected = paths_of(make(str(image_folder)))
    assert 'Left out' not in log()
    (image_folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient('L').save(image_folder / name)
    assert paths_of(make(str(image_folder))) == expected
    assert (f'Left out: 1 of 9 images in {image_folder}, such as {name}, '
            'since') in log()
    assert len(make(str(image_folder), exclude=[])) == 9
    # A run that began with them goes on with them.
    listing = image_folder.parent / 'listing'
    listing.write_text(make(str(image_folder), exclude=[]).listing)
    assert len(make(str(image_folder), image_list=str(listing))) == 9


@pytest.mark.parametrize('name', [
    'unlabeled2017/x.png', 'labels/x.jpg', 'maskros.png', 'other/scene_0.png',
    'unmasked/x.tif', 'bright/x.png'])
def test_images_by_other_names_stay(image_folder, name):
    (image_folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient('L').save(image_folder / name)
    assert len(make(str(image_folder))) == 9


def test_patterns_of_ones_own(image_folder):
    assert len(make(str(image_folder), exclude='*/nested/*')) == 4
    with pytest.raises(ValueError, match='holds no image'):
        make(str(image_folder), exclude=['*'])


@pytest.mark.parametrize('mark', ['image_list.txt', 'last_checkpoint',
                                  'vis_data/scalars.json'])
def test_pictures_of_a_run_are_left_out(image_folder, log, mark):
    expected = paths_of(make(str(image_folder)))
    for name in (mark, 'sub/vis_image/pretraining_0.png', 'pictures/a.jpg'):
        path = image_folder / 'work' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((image_folder / 'scene_0.jpg').read_bytes())
    assert paths_of(make(str(image_folder))) == expected
    assert f'Left out: {image_folder}/work, which a run has written' in log()
    # Asked for by name, they are what is wanted.
    assert len(make(str(image_folder / 'work'))) >= 1


@pytest.mark.parametrize('color_type, channels', [('grayscale', 1),
                                                  ('unchanged', 4)])
@pytest.mark.parametrize('pipeline', [AUGMENT, [
    *REDUCED[:-1], dict(type='PackUnlabeledInputs', meta_keys=('img_path', ))
]])
def test_augmentation_follows_the_channels(tmp_path, color_type, channels,
                                           pipeline):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 4), np.uint8)
    Image.fromarray(pixels, 'RGBA').save(tmp_path / 'a.png')
    dataset = make(str(tmp_path), pipeline, color_type=color_type)
    for seed in range(4):  # mirrored and not
        assert seeded(dataset, 0, seed)['inputs'].shape == (channels, 32, 32)
