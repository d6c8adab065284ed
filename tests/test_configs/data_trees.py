"""A few images of every data set, in its own layout."""
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (96, 64)  # width, height
SPLITS = dict(train=2, val=1)


def picture(path, seed):
    """A little like a photograph: coarse blobs and noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    fine = rng.normal(0, 8, (SIZE[1], SIZE[0], 3))
    blobs = np.asarray(coarse.resize(SIZE, Image.BILINEAR), float) + fine
    Image.fromarray(blobs.clip(0, 255).astype(np.uint8)).save(path)


def label_map(path, labels):
    """Vertical stripes of some labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stripes = np.repeat(np.array(labels, np.uint8), SIZE[0] // len(labels))
    Image.fromarray(np.tile(stripes, (SIZE[1], 1))).save(path)


def instances(names, categories):
    """COCO's form: two boxes in each image."""
    images = [dict(id=index + 1, file_name=name, width=SIZE[0],
                   height=SIZE[1]) for index, name in enumerate(names)]
    annotations = []
    for image in images:
        for index, category in enumerate((1, len(categories))):
            left = 8 + 40 * index
            annotations.append(dict(
                id=len(annotations) + 1, image_id=image['id'],
                category_id=category, iscrowd=0, area=32 * 32,
                bbox=[left, 16, 32, 32],
                segmentation=[[left, 16, left + 32, 16, left + 32, 48, left,
                               48]]))
    return dict(images=images, annotations=annotations, categories=[
        dict(id=index + 1, name=name)
        for index, name in enumerate(categories)])


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_ade20k(data):
    from mmdet.datasets import ADE20KInstanceDataset
    roots = data / 'ade/ADEChallengeData2016', data / 'ADEChallengeData2016'
    folders = dict(train='training', val='validation')
    for split, count in SPLITS.items():
        names = [f'ADE_{split}_{index + 1:08d}' for index in range(count)]
        for root in roots:
            for index, name in enumerate(names):
                picture(root / 'images' / folders[split] / f'{name}.jpg',
                        index)
                label_map(root / 'annotations' / folders[split] /
                          f'{name}.png', [0, 1, 13, 150])
        write_json(
            roots[1] / f'ade20k_instance_{split}.json',
            instances([f'{name}.jpg' for name in names],
                      ADE20KInstanceDataset.METAINFO['classes']))


def write_cityscapes(data):
    from mmdet.datasets import CityscapesDataset
    root = data / 'cityscapes'
    for split, count in SPLITS.items():
        names = [f'aachen/aachen_{index:06d}_000019' for index in
                 range(count)]
        for index, name in enumerate(names):
            picture(root / 'leftImg8bit' / split / f'{name}_leftImg8bit.png',
                    index)
            label_map(root / 'gtFine' / split /
                      f'{name}_gtFine_labelTrainIds.png', [0, 10, 18, 255])
        write_json(
            root / 'annotations' /
            f'instancesonly_filtered_gtFine_{split}.json',
            instances([f'{name}_leftImg8bit.png' for name in names],
                      CityscapesDataset.METAINFO['classes']))


def write_coco(data):
    from mmdet.datasets import CocoDataset
    for split, count in SPLITS.items():
        names = [f'{index:012d}.jpg' for index in range(count)]
        for index, name in enumerate(names):
            picture(data / 'coco' / f'{split}2017' / name, index)
        write_json(
            data / 'coco/annotations' / f'instances_{split}2017.json',
            instances(names, CocoDataset.METAINFO['classes']))


def write_youtube_vis(data):
    """Videos of three frames, in the form of mmdet's converter."""
    from mmdet.datasets import YouTubeVISDataset
    YouTubeVISDataset.set_dataset_classes('2021')
    root = data / 'youtube_vis_2021'
    for split, count in dict(train=2, valid=1).items():
        names = [f'video_{video}/{frame:05d}.jpg' for video in range(count)
                 for frame in range(3)]
        content = instances(names, YouTubeVISDataset.METAINFO['classes'])
        for index, image in enumerate(content['images']):
            picture(root / split / 'JPEGImages' / names[index], index)
            image.update(video_id=index // 3 + 1, frame_id=index % 3)
        for annotation in content['annotations']:
            image = content['images'][annotation['image_id'] - 1]
            # The same two objects in all frames of a video.
            annotation.update(
                video_id=image['video_id'],
                instance_id=2 * image['video_id'] - annotation['id'] % 2)
        content['videos'] = [dict(id=video + 1, name=f'video_{video}')
                             for video in range(count)]
        write_json(root / 'annotations' / f'youtube_vis_2021_{split}.json',
                   content)


def write_unlabelled(data):
    for split, count in SPLITS.items():
        for index in range(count):
            picture(data / 'imagenet' / split / 'n01440764' /
                    f'n01440764_{index}.JPEG', index)
            picture(data / 'my_images' / split / f'{index}.png', index)


def write_trees(data: Path, real_coco: Path) -> None:
    """Write all; of COCO, real images where they are."""
    write_ade20k(data)
    write_cityscapes(data)
    write_youtube_vis(data)
    write_unlabelled(data)
    if real_coco.is_dir():
        # Panoptic labels, if there are none, are written here and not there.
        for folder in ('.', 'annotations'):
            (data / 'coco' / folder).mkdir()
            for each in (real_coco.resolve() / folder).iterdir():
                if each.name != 'annotations':
                    (data / 'coco' / folder / each.name).symlink_to(each)
    else:
        write_coco(data)


# The same with panoptic labels; panopticapi is needed.


def stripes(values):
    """Vertical stripes of some colours, as an image."""
    row = np.repeat(np.array(values, np.uint8), SIZE[0] // len(values), axis=0)
    return Image.fromarray(np.tile(row, (SIZE[1], 1, 1)))


def write_ade20k_panoptic(data: Path) -> None:
    """Add instances as ADE20K ships them; mmdet's converter does the rest."""
    root = data / 'ADEChallengeData2016'
    for image in root.glob('images/*/*.jpg'):
        folder = root / 'annotations_instance' / image.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        # Class and number; the class as in the map of all pixels.
        stripes([(0, 0, 0), (0, 0, 0), (13, 1, 0), (150, 2, 0)]).save(
            folder / f'{image.stem}.png')
    converter = (
        Path(find_spec('mmdet').origin).parent /
        '.mim/tools/dataset_converters/ade20k2coco.py')
    subprocess.run([sys.executable, converter, root, '--task', 'panoptic'],
                   check=True)


def write_coco_panoptic(data: Path) -> None:
    """Add two segments, a thing and a stuff, to each image of COCO.

    The numbers of the images are those of their instances.
    """
    from mmdet.datasets import CocoPanopticDataset
    metainfo = CocoPanopticDataset.METAINFO
    categories = [
        dict(id=index + 1, name=name, isthing=int(
            name in metainfo['thing_classes']))
        for index, name in enumerate(metainfo['classes'])
    ]
    half = SIZE[0] // 2
    for split in SPLITS:
        paths = sorted((data / f'coco/{split}2017').glob('*.jpg'))
        annotations = data / 'coco/annotations'
        folder = annotations / f'panoptic_{split}2017'
        folder.mkdir()
        for path in paths:
            stripes([(1, 0, 0), (2, 0, 0)]).save(folder / f'{path.stem}.png')
        write_json(
            annotations / f'panoptic_{split}2017.json',
            dict(
                categories=categories,
                images=[
                    dict(id=index, file_name=path.name, width=SIZE[0],
                         height=SIZE[1]) for index, path in enumerate(paths, 1)
                ],
                annotations=[
                    dict(
                        image_id=index,
                        file_name=f'{path.stem}.png',
                        segments_info=[
                            dict(id=number, category_id=category, iscrowd=0,
                                 area=half * SIZE[1],
                                 bbox=[half * (number - 1), 0, half, SIZE[1]])
                            for number, category in ((1, 1),
                                                     (2, len(categories)))
                        ]) for index, path in enumerate(paths, 1)
                ]))
