"""Subsets of labelled images, read back by the stock data sets."""
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.utils import register_all_modules
from PIL import Image

TOOL = 'tools/dataset_converters/make_subset.py'
TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'dataset_converters'
sys.path.insert(0, str(TOOLS))

from coco_subset import CocoAnnotations  # noqa: E402  (its folder is on the
from mmseg_subset import MMSegImages  # noqa: E402      path only now)
from subset_order import subset_order  # noqa: E402
from subset_sizes import subset_sizes  # noqa: E402

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
    config.train_dataloader.dataset.data_prefix.img_path = 'images'
    config.train_dataloader.dataset.img_suffix = '.tif'
    register_all_modules(init_default_scope=False)
    with pytest.raises(FileNotFoundError, match='no images .*tif in .*images'):
        MMSegImages(config)
    with pytest.raises(ValueError, match='config of mmseg that trains'):
        MMSegImages(Config(dict(train_dataloader=dict())))


def test_real_labels(root, tmp_path):
    """CamVid, where it is; the balanced subset has classes that a plain one
    of the same size may lack."""
    register_all_modules(init_default_scope=False)
    config = Config.fromfile(str(next(
        (root / 'configs/finetune/mmseg').glob('*camvid*'))))
    # Generated labels have all classes in each image.
    if not Path(config.data_root).is_dir():
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
