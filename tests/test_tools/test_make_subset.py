"""Subsets of labelled images, read back by the stock data sets."""
import itertools
import json
import sys
from pathlib import Path

import make_subset
import numpy as np
import pytest
from coco_subset import CocoAnnotations
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.utils import register_all_modules
from mmseg_subset import MMSegImages
from PIL import Image
from subset_order import subset_order
from subset_sizes import subset_sizes

TOOL = 'tools/dataset_converters/make_subset.py'

LAYOUTS = {
    'ade20k': ('ade/ADEChallengeData2016', 'images/training/{}.jpg',
               'annotations/training/{}.png', ['ADE_train_00000001',
                                               'ADE_train_00000002',
                                               'ADE_train_00000003']),
    'cityscapes': ('cityscapes', 'leftImg8bit/train/{}_leftImg8bit.png',
                   'gtFine/train/{}_gtFine_labelTrainIds.png',
                   ['aachen/aachen_000000_000019',
                    'aachen/aachen_000001_000019',
                    'ulm/ulm_000000_000019']),
}


def coco_file(path, num_images=40, panoptic=False):
    """Images with a common category 1 and, in two of them, a rare 7."""
    images = [dict(id=100 - index, file_name=f'{index}.jpg', width=8, height=8)
              for index in range(num_images)]
    annotations, ids = [], itertools.count(1)
    for index, image in enumerate(images):
        categories = [1] + ([7] if index in (11, 30) else [])
        parts = [dict(id=next(ids), category_id=category, bbox=[0, 0, 4, 4],
                      area=16, iscrowd=0) for category in categories]
        if panoptic:
            annotations.append(dict(image_id=image['id'],
                                    file_name=f'{index}.png',
                                    segments_info=parts))
        else:
            annotations += [dict(part, image_id=image['id'],
                                 segmentation=[[0, 0, 4, 0, 4, 4]])
                            for part in parts]
    path.write_text(json.dumps(dict(
        info=dict(year=2017), images=images, annotations=annotations,
        categories=[dict(id=1, name='person'), dict(id=7, name='train')])))
    return path


def write_tree(layout, root):
    """A few images of a data set, in its own layout."""
    folder, image, labels, names = LAYOUTS[layout]
    for index, name in enumerate(names):
        for path, mode in ((image, 'RGB'), (labels, 'L')):
            path = root / folder / path.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (16, 16), index + 1 if mode == 'L' else (
                index, 0, 0)).save(path)
    config = Config.fromstring(
        f"_base_ = 'mmseg::_base_/datasets/{layout}.py'", file_format='.py')
    config.train_dataloader.dataset.data_root = str(root / folder)
    return config, names


@pytest.fixture
def choose(monkeypatch):
    """Run the tool in this process, which has loaded the libraries."""
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, arguments)])
        make_subset.main()

    return run


def test_order_is_a_permutation_fixed_by_its_seed():
    order = subset_order(50, seed=3)
    assert sorted(order) == list(range(50)) != order
    assert subset_order(50, seed=3) == order != subset_order(50, seed=4)


def test_rare_classes_come_first_when_balanced():
    classes = [{0} for _ in range(100)]
    for image, name in {17: 1, 60: 1, 42: 2, 99: 3}.items():
        classes[image] = {0, name}
    classes[5] = set()
    order = subset_order(100, seed=0, classes=classes)
    assert sorted(order) == list(range(100))
    # Four classes; two images show the rarest of them first of all.
    assert {1, 2, 3} <= set().union(*(classes[index] for index in order[:4]))
    assert {17, 60, 42, 99} <= set(order[:6])
    assert order[-1] == 5
    plain = subset_order(100, seed=0)
    assert not {17, 60, 42, 99} <= set(plain[:6])


def test_sizes_and_names():
    assert subset_sizes(118287, ['1/2', '1/16'], [100]) == {
        '1-2': 59144, '1-16': 7393, '100-images': 100}
    assert subset_sizes(5, ['1/16'], []) == {'1-16': 1}


@pytest.mark.parametrize('share', ['2/1', '0', '1', 'half', '1/0', '-1/2'])
def test_impossible_share_is_named(share):
    with pytest.raises(ValueError, match=f'1/16, but is {share}'):
        subset_sizes(10, [share], [])


def test_impossible_number_is_named():
    with pytest.raises(ValueError, match='There are 10 images: 11'):
        subset_sizes(10, [], [11])


def test_coco_subsets_are_nested_whole_and_read_by_mmdet(python, tmp_path):
    path = coco_file(tmp_path / 'instances.json')
    output = python(TOOL, path, '--num-images', '3')
    ids = {}
    for name, size in {'1-2': 20, '1-4': 10, '1-8': 5, '1-16': 2,
                       '3-images': 3}.items():
        subset = tmp_path / f'instances_{name}.json'
        assert f'{size} of 40 images: {subset}' in output
        content = json.loads(subset.read_text())
        ids[name] = {image['id'] for image in content['images']}
        assert len(ids[name]) == size
        whole = json.loads(path.read_text())
        assert content['annotations'] == [
            each for each in whole['annotations']
            if each['image_id'] in ids[name]]
        assert {key: content[key] for key in ('info', 'categories')} == {
            key: whole[key] for key in ('info', 'categories')}
        dataset = CocoDataset(ann_file=str(subset), data_prefix=dict(img=''),
                              pipeline=[])
        assert {item['img_id'] for item in dataset} == ids[name]
    assert ids['1-16'] <= ids['3-images'] <= ids['1-8'] <= ids['1-4'] <= (
        ids['1-2'])


def test_panoptic_and_instance_labels_give_the_same_images(tmp_path):
    chosen = []
    for panoptic in (False, True):
        path = coco_file(tmp_path / f'{panoptic}.json', panoptic=panoptic)
        source = CocoAnnotations(str(path))
        assert source.classes()[100 - 30 - 61] == {1, 7}
        subset = source.write('some', subset_order(40, 0)[:7])
        chosen.append([image['id'] for image in json.loads(
            Path(subset).read_text())['images']])
    assert chosen[0] == chosen[1]


def test_balanced_subset_holds_the_rare_class(tmp_path):
    source = CocoAnnotations(str(coco_file(tmp_path / 'instances.json')))
    order = subset_order(len(source), 0, source.classes())
    content = json.loads(Path(source.write('1-16', order[:2])).read_text())
    assert 7 in {each['category_id'] for each in content['annotations']}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_list_is_read_by_mmseg(tmp_path, layout):
    register_all_modules(init_default_scope=False)
    config, names = write_tree(layout, tmp_path)
    source = MMSegImages(config)
    assert len(source) == 3
    # ADE20K's label 0 is to be ignored, and the others move down by one.
    first = 0 if layout == 'ade20k' else 1
    assert source.classes() == [{first}, {first + 1}, {first + 2}]
    path = source.write('2-images', [2, 0])
    assert Path(path).parent.name == 'splits'
    assert Path(path).read_text().split() == [names[0], names[2]]
    dataset_config = dict(config.train_dataloader.dataset, pipeline=[])
    init_default_scope('mmseg')
    dataset = DATASETS.build(dict(dataset_config, ann_file=path))
    assert isinstance(dataset, BaseSegDataset)
    for item, name in zip(dataset, [names[0], names[2]]):
        assert name in item['img_path'] and name in item['seg_map_path']
        assert Path(item['img_path']).exists()
        assert Path(item['seg_map_path']).exists()


CHOICES = {'': [], '_balanced': ['--balanced'], '_seed1': ['--seed', '1'],
           '_balanced_seed1': ['--balanced', '--seed', '1']}


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
        content = json.loads(max(new).read_text())  # of three images
        chosen[suffix] = frozenset(each['id'] for each in content['images'])
        categories = {each['category_id'] for each in content['annotations']}
        assert 7 in categories or 'balanced' not in suffix
    assert len(set(chosen.values())) == len(CHOICES)


def test_negative_seed_is_named(choose, tmp_path):
    with pytest.raises(SystemExit, match='0 or more, but is -1'):
        choose(coco_file(tmp_path / 'instances.json'), '--seed', '-1')


def test_subset_of_a_coco_subset_leaves_its_source(choose, tmp_path):
    choose(coco_file(tmp_path / 'instances.json'), '--shares', '1/4')
    source = tmp_path / 'instances_1-4.json'
    before = source.read_bytes()
    choose(source, '--shares', '1/4')
    assert source.read_bytes() == before
    smaller = json.loads((tmp_path / 'instances_1-4_1-4.json').read_text())
    assert len(smaller['images']) == 2  # of ten


@pytest.mark.parametrize('suffix', CHOICES)
def test_config_that_reads_a_subset_is_refused(choose, tmp_path, suffix):
    config, names = write_tree('ade20k', tmp_path)
    dataset = config.train_dataloader.dataset
    ann_file = f'splits/training_1-2{suffix}.txt'
    whole, few = tmp_path / 'whole.py', tmp_path / 'few.py'
    for path, options in ((whole, {}), (few, dict(ann_file=ann_file))):
        options = dict(options, data_root=dataset.data_root)
        path.write_text("_base_ = 'mmseg::_base_/datasets/ade20k.py'\n"
                        f'train_dataloader = dict(dataset={options})')
    path = Path(dataset.data_root, ann_file)
    for exists in (False, True):
        if exists:
            choose(whole, *CHOICES[suffix])
            assert len(path.read_text().split()) == 2
            before = path.read_bytes()
        with pytest.raises(SystemExit) as refusal:
            choose(few, *CHOICES[suffix])
        message = str(refusal.value)
        assert str(path) in message and 'is a subset itself: giv' in message
        assert message.count('.') - str(path).count('.') == 1
        assert path.exists() == exists
    assert path.read_bytes() == before
    # A list of the user's own is no subset of this tool.
    own = path.with_name('own.txt')
    own.write_text('\n'.join(names[:2]))
    dataset.ann_file = 'splits/own.txt'
    assert len(MMSegImages(config)) == 2


@pytest.mark.parametrize('content', ['[1]', '{"images": [', '{"images": []}'])
def test_bad_annotation_file_is_named(tmp_path, content):
    path = tmp_path / 'labels.json'
    path.write_text(content)
    with pytest.raises(ValueError, match='holds no "images" and "annotat'):
        CocoAnnotations(str(path))


def test_missing_annotation_file_is_named_in_one_sentence(python, tmp_path):
    output = python(TOOL, tmp_path / 'labels.json', fails=True)
    assert 'There is no annotation file at' in output
    assert 'Traceback' not in output


def test_config_without_images_is_named(tmp_path):
    config, _ = write_tree('ade20k', tmp_path)
    dataset = config.train_dataloader.dataset
    dataset.data_prefix.img_path = 'images'
    dataset.img_suffix = '.tif'
    with pytest.raises(FileNotFoundError, match='no images .*tif in .*images'):
        MMSegImages(config)
    dataset.ann_file = 'lists/train.txt'
    with pytest.raises(FileNotFoundError, match='no list .*lists/train.txt'):
        MMSegImages(config)
    with pytest.raises(ValueError, match='config of mmseg that trains'):
        MMSegImages(Config(dict(train_dataloader=None)))


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
    path = tmp_path / 'captions.json'
    content = json.loads(coco_file(path).read_text())
    for annotation in content['annotations']:
        del annotation['category_id']
    path.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match='captions.json has .* without a cat'):
        choose(path, '--balanced')
    choose(path, '--shares', '1/4')
    chosen = json.loads((tmp_path / 'captions_1-4.json').read_text())
    assert len(chosen['images']) == 10


def test_annotations_of_absent_images_are_left_out(tmp_path):
    path = coco_file(tmp_path / 'instances.json')
    content = json.loads(path.read_text())
    del content['images'][0]
    path.write_text(json.dumps(content))
    assert len(CocoAnnotations(str(path)).classes()) == 39


def test_real_labels(root, tmp_path):
    """CamVid, where it is; the balanced subset has classes that a plain one
    of the same size may lack."""
    register_all_modules(init_default_scope=False)
    config = Config.fromfile(str(next(
        (root / 'configs/finetune/mmseg').glob('*camvid*'))))
    if not Path(config.data_root).is_dir():
        # Generated labels have all classes in each image.
        pytest.skip('needs the real labels of CamVid')
    source = MMSegImages(config)
    classes = source.classes()
    assert len(classes) == 123
    assert set().union(*classes) == set(range(11))

    def seen(order):
        return len(set().union(*(classes[index] for index in order[:3])))

    balanced = seen(subset_order(123, 0, classes))
    plain = np.mean([seen(subset_order(123, seed)) for seed in range(20)])
    assert balanced > plain
