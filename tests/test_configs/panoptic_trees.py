"""The trees of data_trees.py with panoptic labels; panopticapi is needed."""
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from data_trees import SIZE, SPLITS, write_json
from PIL import Image


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
