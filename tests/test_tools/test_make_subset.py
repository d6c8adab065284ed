"""Subsets of labelled images, read back by the stock data sets."""
import json
import runpy
import sys
from pathlib import Path

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mask_jepa.experiments.runs import Finetuning, Task

ROOT = Path(__file__).resolve().parents[2]
TOOL = 'tools/dataset_converters/make_subset.py'
LAYOUTS = {
    'ade20k': ('ade/ADEChallengeData2016', 'images/training/{}.jpg',
               'annotations/training/{}.png', 'ADE_train_{:08d}'),
    'cityscapes': ('cityscapes', 'leftImg8bit/train/{}_leftImg8bit.png',
                   'gtFine/train/{}_gtFine_labelTrainIds.png',
                   'ulm/ulm_{:06d}_000019'),
}
CHOICES = {'': [], '_balanced': ['--balanced'], '_seed1': ['--seed', '1'],
           '_balanced_seed1': ['--balanced', '--seed', '1']}


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def image_ids(path):
    return [image['id'] for image in json.loads(path.read_text())['images']]


def coco_file(path, panoptic=False):
    """Forty images with a category 1 and, in two of them, a rare 7."""
    images = [dict(id=100 - index, file_name=f'{index}.jpg', width=8, height=8)
              for index in range(40)]
    parts = [dict(id=10 * index + category, image_id=image['id'],
                  category_id=category, bbox=[0, 0, 4, 4], area=16, iscrowd=0,
                  segmentation=[[0, 0, 4, 0, 4, 4]])
             for index, image in enumerate(images)
             for category in ([1, 7] if index in (11, 30) else [1])]
    annotations = [
        dict(image_id=image['id'], file_name='1.png', segments_info=[
            part for part in parts if part['image_id'] == image['id']])
        for image in images] if panoptic else parts
    return write_json(path, dict(
        info=dict(year=2017), images=images, annotations=annotations,
        categories=[dict(id=1, name='person'), dict(id=7, name='train')]))


def mmseg_tree(layout, folder, count=3, **options):
    """A few images of a data set, the only ones with their class."""
    place, *parts, stem = LAYOUTS[layout]
    names = [stem.format(index) for index in range(count)]
    for index, name in enumerate(names):
        for part, mode in zip(parts, ('RGB', 'L')):
            path = folder / place / part.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (16, 16), index + 1 if mode == 'L' else (
                index, 0, 0)).save(path)
    options['data_root'] = str(folder / place)
    config = folder / f'{layout}{len(options)}.py'
    config.write_text(f"_base_ = 'mmseg::_base_/datasets/{layout}.py'\n"
                      f'train_dataloader = dict(dataset={options})')
    return config, names, folder / place


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(ROOT / TOOL))


@pytest.fixture
def choose(tool, monkeypatch):
    """Run the tool in this process, which has loaded the libraries."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, arguments)])
        tool['main']()

    return run


def test_shares_and_names(tool):
    assert {name: round(share * 118287) for name, share in tool['name_shares'](
        118287, ['1/2', '0.0625'], [100]).items()} == {
            '1-2': 59144, '1-16': 7393, '100-images': 100}


@pytest.mark.parametrize('options, sentence', [
    *((['--shares', share], f'such as 1/16, but is {share}[.]')
      for share in ('2/1', '0', '1', 'half', '1/0', '-1/2')),
    (['--num-images', '41'], 'There are 40 images: 41 of them cannot'),
    (['--seed', '-1'], 'The seed -1 must be 0'),
])
def test_what_cannot_be_chosen_is_named(choose, tmp_path, options, sentence):
    # A minus is no option of argparse's where `=` precedes it.
    options = ['='.join(options)] if options[1][0] == '-' else options
    with pytest.raises(SystemExit, match=sentence):
        choose(coco_file(tmp_path / 'labels.json'), *options)


def test_coco_subsets_are_nested_whole_and_read_by_mmdet(python, tmp_path):
    path = coco_file(tmp_path / 'instances.json')
    whole = json.loads(path.read_text())
    output = python(TOOL, path, '--num-images', '3')
    larger = set(image_ids(path))
    for name, size in {'1-2': 20, '1-4': 10, '1-8': 5, '3-images': 3,
                       '1-16': 2}.items():
        subset = tmp_path / f'instances_{name}.json'
        assert f'{size} of 40 images: {subset}' in output
        content = json.loads(subset.read_text())
        ids = set(image_ids(subset))
        assert len(content['images']) == len(ids) == size and ids < larger
        larger = ids
        for key, value in whole.items():
            if key == 'annotations':
                value = [part for part in value if part['image_id'] in ids]
            assert content[key] == value or key == 'images'
        dataset = CocoDataset(ann_file=str(subset), data_prefix=dict(img=''),
                              pipeline=[])
        assert {item['img_id'] for item in dataset} == ids


@pytest.mark.parametrize('options', CHOICES.values(), ids=CHOICES)
def test_panoptic_and_instance_labels_give_the_same_images(
        choose, tmp_path, options):
    for panoptic in (False, True):
        path = coco_file(tmp_path / f'{panoptic}.json', panoptic)
        choose(path, '--shares', '1/8', *options)
    subsets = tmp_path.glob('*_1-8*.json')
    first, second = map(image_ids, subsets)
    assert first == second and len(first) == 5


@pytest.mark.parametrize('layout', LAYOUTS)
def test_list_is_read_by_mmseg(tool, tmp_path, layout):
    path, names, root = mmseg_tree(layout, tmp_path)
    config = Config.fromfile(path)
    source = tool['MMSegImages'](config)
    # ADE20K's label 0 is to be ignored, and the others move down by one.
    first = 0 if layout == 'ade20k' else 1
    assert source.classes() == [{first}, {first + 1}, {first + 2}]
    ann_file = Path(source.write('2-images', [0, 2], None))
    assert ann_file.parent == root / 'splits'
    assert ann_file.read_text().split() == [names[0], names[2]]
    init_default_scope('mmseg')
    dataset = DATASETS.build(dict(
        config.train_dataloader.dataset, pipeline=[], ann_file=str(ann_file)))
    assert len(dataset) == 2
    for item, name in zip(dataset, [names[0], names[2]]):
        for key in ('img_path', 'seg_map_path'):
            assert name in item[key] and Path(item[key]).exists()


def test_images_are_those_of_an_experiment(choose, tmp_path):
    path, names, root = mmseg_tree('ade20k', tmp_path, 20)
    for share, indices in ((1 / 4, None), (1 / 2, [*range(0, 20, 2)])):
        config = Config.fromfile(path)
        count = len(indices or names)
        config.train_dataloader.dataset.indices = indices
        config.model = {}
        config.dump(tmp_path / 'task.py')
        choose(tmp_path / 'task.py', '--shares', share, '--seed', '3')
        task = Task('ADE20K', config, 'mmseg', 'mIoU', 1, count)
        chosen = Finetuning('none', task, share, 3).config
        listed, = root.glob(f'splits/training_1-{round(1 / share)}_seed3.txt')
        assert listed.read_text().split() == [
            names[index] for index in chosen.train_dataloader.dataset.indices]


def test_every_choice_has_a_file_of_its_own(choose, tmp_path):
    path = coco_file(tmp_path / 'instances.json')
    chosen = {}
    for suffix, options in CHOICES.items():
        before = {each: each.read_bytes() for each in tmp_path.iterdir()}
        choose(path, '--shares', '1/16', '--num-images', 3, *options)
        new = {tmp_path / f'instances_{name}{suffix}.json'
               for name in ('1-16', '3-images')}
        assert set(tmp_path.iterdir()) - set(before) == new
        assert all(each.read_bytes() == text for each, text in before.items())
        chosen[suffix] = frozenset(image_ids(max(new)))  # of three images
        rare = {100 - 11, 100 - 30} & set(image_ids(min(new)))
        assert rare or 'balanced' not in suffix
    assert len(set(chosen.values())) == len(CHOICES)


def test_subset_of_a_coco_subset_leaves_its_source(choose, tmp_path):
    choose(coco_file(tmp_path / 'instances.json'), '--shares', '1/4')
    source = tmp_path / 'instances_1-4.json'
    before = source.read_bytes()
    choose(source, '--shares', '1/4')
    assert source.read_bytes() == before
    assert len(image_ids(tmp_path / 'instances_1-4_1-4.json')) == 2  # of ten


@pytest.mark.parametrize('suffix', [*CHOICES][::3])
def test_config_that_reads_a_subset_is_refused(choose, tmp_path, suffix):
    whole, names, root = mmseg_tree('ade20k', tmp_path)
    few, *_ = mmseg_tree(
        'ade20k', tmp_path, ann_file=f'splits/training_1-2{suffix}.txt')
    path = root / f'splits/training_1-2{suffix}.txt'
    for exists in (False, True):
        if exists:
            choose(whole, *CHOICES[suffix])
            before = path.read_bytes()
            assert len(before.split()) == 2
        with pytest.raises(SystemExit) as refusal:
            choose(few, *CHOICES[suffix])
        message = str(refusal.value)
        assert str(path) in message and 'is a subset itself: giv' in message
        assert message.count('.') - str(path).count('.') == 1
        assert path.exists() == exists
    assert path.read_bytes() == before
    # A list of the user's own is no subset of this tool.
    path.with_name('own.txt').write_text('\n'.join(names[:2]))
    own, *_ = mmseg_tree('ade20k', tmp_path, ann_file='splits/own.txt')
    choose(own, '--num-images', 2, '--shares')


def test_missing_annotation_file_is_named(choose, tmp_path):
    with pytest.raises(SystemExit, match='no annotation file at .*labels.js'):
        choose(tmp_path / 'labels.json')


def test_config_without_images_is_named(choose, tmp_path):
    for options, sentence in (
        (dict(data_prefix=dict(img_path='images'), img_suffix='.tif'),
         'no images .*tif in .*images'),
        (dict(ann_file='lists/train.txt'), 'no list .*lists/train.txt'),
        (dict(_delete_=True), 'config of mmseg that trains'),
    ):
        config, *_ = mmseg_tree('ade20k', tmp_path, **options)
        if '_delete_' in options:
            config.write_text('train_dataloader = None')
        with pytest.raises(SystemExit, match=sentence):
            choose(config)


@pytest.mark.parametrize('source, sentence', {
    'mmseg::_base_/datasets/pascal_voc12_aug.py':
        'joins several data sets.*: give a config .* on one of them.$',
    # Pairs of images.
    'mmseg::_base_/datasets/levir_256x256.py':
        'on LEVIRCDDataset, which is no data set of mmseg for semantic',
    # Its class asserts that the folder is there.
    'mmseg::_base_/datasets/chase_db1.py':
        'no folder of images at data/CHASE_DB1/images/training, where',
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py':
        "on CocoDataset, which is no .* COCO's form give the annotation file",
    'mmdet::_base_/datasets/coco_panoptic.py':
        'on CocoPanopticDataset, which is no data set of mmseg',
    # mmseg has a class of this name as well.
    'mmdet::_base_/datasets/cityscapes_instance.py':
        'on CityscapesDataset, which is no data set of mmseg',
}.items())
def test_config_of_other_data_is_named(
        choose, tmp_path, monkeypatch, source, sentence):
    monkeypatch.chdir(tmp_path)  # where no data set is
    with pytest.raises(SystemExit, match=sentence):
        choose(source)


def test_labels_without_categories_are_not_balanced(choose, tmp_path):
    path = coco_file(tmp_path / 'captions.json')
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        del annotation['category_id']
    write_json(path, content)
    with pytest.raises(SystemExit, match='captions.json has .* without a cat'):
        choose(path, '--balanced')
    choose(path, '--shares', '1/4')
    assert len(image_ids(tmp_path / 'captions_1-4.json')) == 10


def test_annotations_of_absent_images_are_left_out(choose, tmp_path):
    path = coco_file(tmp_path / 'instances.json')
    content = json.loads(path.read_text())
    del content['images'][0]
    choose(write_json(path, content), '--balanced', '--num-images', 39)
    written = tmp_path / 'instances_39-images_balanced.json'
    kept = json.loads(written.read_text())['annotations']
    assert kept == content['annotations'][1:]


def test_real_labels(tool):
    """CamVid, where it is: a balanced subset has more classes than others."""
    config = Config.fromfile(next(
        ROOT.glob('configs/finetune/mmseg/*r18-tiny*-pre_*camvid*.py')))
    if not Path(config.data_root).is_dir():
        # Generated labels have all classes in each image.
        pytest.skip('needs the real labels of CamVid')
    classes = tool['MMSegImages'](config).classes()
    assert len(classes) == 123
    assert set().union(*classes) == set(range(11))

    def count_classes(seed, *options):
        chosen = tool['choose_images'](123, 3 / 123, seed, *options)
        return len(set().union(*(classes[index] for index in chosen)))

    others = [count_classes(seed) for seed in range(20)]
    assert count_classes(0, classes) > sum(others) / len(others)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-32'])
def test_encodings_are_told_apart(choose, tmp_path, encoding):
    path = coco_file(tmp_path / 'labels.json')
    path.write_text(path.read_text(), encoding=encoding)
    choose(path, '--shares', '1/8')
    assert len(image_ids(tmp_path / 'labels_1-8.json')) == 5


@pytest.mark.parametrize('content, sentence', [
    (b'\xff{}', 'is no JSON'),
    (b'[]', 'has no list of "images"'),
    (b'{"images": null, "annotations": []}', 'has no list of "images"'),
    (b'{"images": [3], "annotations": []}', 'has no list of "images"'),
    (b'{"images": [{"id": 1}]}', 'has no list of "annotations"'),
    (b'{"images": [{}, {"id": null}], "annotations": []}',
     '2 of the "images" in .* have no id: complete'),
    (b'{"images": [{"id": 1}], "annotations": [{"id": 1}]}',
     '1 of the "annotations" in .* have no image_id'),
    (b'{"images": [], "annotations": []}', 'has no images to choose from'),
    (b'{"images": [{"id": 1}, {"id": "2"}], "annotations": []}',
     r'of several types \(int, str\)'),
])
def test_files_of_another_form_are_refused(choose, tmp_path, content,
                                           sentence):
    path = tmp_path / 'labels.json'
    path.write_bytes(content)
    with pytest.raises(SystemExit, match=sentence):
        choose(path)


def test_data_may_be_read_only(choose, tmp_path):
    (tmp_path / 'data').mkdir()
    path = coco_file(tmp_path / 'data/labels.json')
    config, _, root = mmseg_tree('ade20k', tmp_path, 8)
    before = sorted([*path.parent.rglob('*'), *root.rglob('*')])
    for source in (path, config):
        choose(source, '--shares', '1/4', '--out', tmp_path / 'chosen')
    assert before == sorted([*path.parent.rglob('*'), *root.rglob('*')])
    assert {each.name for each in (tmp_path / 'chosen').iterdir()} == {
        'labels_1-4.json', 'training_1-4.txt'}


def test_tiles_of_an_image_stay_together(choose, tmp_path):
    path = coco_file(tmp_path / 'labels.json')
    content = json.loads(path.read_text())
    for image in content['images']:
        image['parent'] = f'slide_{image["id"] % 10}.tif'
    write_json(path, content)
    choose(path, '--shares', '1/5', '--balanced')
    chosen = image_ids(tmp_path / 'labels_1-5_balanced.json')
    assert len(chosen) == 8  # two slides of four tiles
    assert len({number % 10 for number in chosen}) == 2
