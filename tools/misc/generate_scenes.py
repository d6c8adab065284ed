"""Generate labelled street scenes where no real data are at hand.

They are laid out as the small real sets are: camvid/ for mmseg (11 classes)
and coco128/ for mmdet (COCO instances). They show that the code works, and
say nothing about real photographs.
"""
import argparse
import json
import os.path as osp
from typing import Dict, List, Tuple

import mmengine
import numpy as np
from mmdet.datasets import CocoDataset
from PIL import Image, ImageDraw, ImageFilter
from pycocotools import mask as coco_mask

SKY, BUILDING, ROAD, TREE, CAR, PEDESTRIAN = 0, 1, 3, 5, 8, 9
COCO_NAMES = {CAR: 'car', PEDESTRIAN: 'person'}
SIZE = (240, 180)  # width, height in pixels


def textured(mask: Image.Image, rng: np.random.Generator,
             canvas: np.ndarray) -> None:
    """Paint a region in a random colour with a grain of its own.

    Args:
        mask (Image): Region, mode '1'.
        rng (np.random.Generator): Source of colours and grain.
        canvas (np.ndarray): Picture (H, W, 3), float; changed in place.
    """
    region = np.asarray(mask)
    colour = rng.uniform(30, 225, 3)
    grain = rng.normal(0, rng.uniform(4, 25), (*region.shape, 1))
    canvas[region] = (colour + grain)[region]


def draw_scene(
        rng: np.random.Generator
) -> Tuple[Image.Image, np.ndarray, List[Tuple[int, np.ndarray]]]:
    """Draw one street.

    Args:
        rng (np.random.Generator): Source of everything random.

    Returns:
        tuple: The picture, the label map (H, W) uint8, and the instances,
        each as (label, visible mask), back to front.
    """
    width, height = SIZE
    canvas = np.zeros((height, width, 3))
    labels = np.zeros((height, width), np.uint8)
    instances: List[Tuple[int, np.ndarray]] = []

    def paint(label: int, shape: str, box: Tuple[float, ...]) -> None:
        mask = Image.new('1', SIZE)
        getattr(ImageDraw.Draw(mask), shape)(box, fill=1)
        textured(mask, rng, canvas)
        region = np.asarray(mask)
        labels[region] = label
        for _, visible in instances:
            visible &= ~region
        if label in COCO_NAMES:
            instances.append((label, region.copy()))

    horizon = rng.uniform(0.4, 0.6) * height
    paint(SKY, 'rectangle', (0, 0, width, horizon))
    paint(ROAD, 'rectangle', (0, horizon, width, height))
    for _ in range(rng.integers(2, 5)):
        left, roof = rng.uniform(-20, width), rng.uniform(0.1, 0.7) * horizon
        paint(BUILDING, 'rectangle',
              (left, roof, left + rng.uniform(30, 80), horizon))
    for _ in range(rng.integers(1, 4)):
        x, radius = rng.uniform(0, width), rng.uniform(12, 28)
        paint(TREE, 'ellipse', (x - radius, horizon - 2 * radius, x + radius,
                                horizon))
    for _ in range(rng.integers(1, 4)):
        x, ground = rng.uniform(0, width), rng.uniform(horizon + 20, height)
        size = rng.uniform(20, 50)
        paint(CAR, 'rounded_rectangle',
              (x, ground - 0.5 * size, x + size, ground))
    for _ in range(rng.integers(1, 4)):
        x, ground = rng.uniform(0, width), rng.uniform(horizon + 25, height)
        size = rng.uniform(20, 45)
        paint(PEDESTRIAN, 'ellipse',
              (x, ground - size, x + 0.4 * size, ground))
    picture = Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(0.7)), labels, instances


def coco_annotations(instances: List[Tuple[int, np.ndarray]],
                     image_id: int, first_id: int) -> List[Dict]:
    """Describe instances in the form of COCO.

    Args:
        instances (list[tuple]): (label, visible mask) each.
        image_id (int): Id of the image.
        first_id (int): Id of the first annotation.

    Returns:
        list[dict]: Annotations of instances that can be seen.
    """
    annotations = []
    for label, visible in instances:
        if visible.sum() < 20:
            continue
        segmentation = coco_mask.encode(np.asfortranarray(visible, np.uint8))
        bbox = coco_mask.toBbox(segmentation).tolist()
        segmentation['counts'] = segmentation['counts'].decode()
        annotations.append(
            dict(
                id=first_id + len(annotations),
                image_id=image_id,
                category_id=CocoDataset.METAINFO['classes'].index(
                    COCO_NAMES[label]) + 1,
                segmentation=segmentation,
                area=int(visible.sum()),
                bbox=bbox,
                iscrowd=0))
    return annotations


def write_scenes(out: str, num_train: int, num_val: int, seed: int) -> None:
    """Write both sets.

    Args:
        out (str): Folder to write into.
        num_train (int): Images for training.
        num_val (int): Images for validation.
        seed (int): Of the generator.
    """
    rng = np.random.default_rng(seed)
    categories = [
        dict(id=index + 1, name=name)
        for index, name in enumerate(CocoDataset.METAINFO['classes'])
    ]
    for split, count in dict(train=num_train, val=num_val).items():
        folders = {
            name: osp.join(out, path)
            for name, path in dict(
                image=f'camvid/img_dir/{split}',
                label=f'camvid/ann_dir/{split}',
                coco=f'coco128/{split}2017',
                annotation='coco128/annotations').items()
        }
        for folder in folders.values():
            mmengine.mkdir_or_exist(folder)
        images, annotations = [], []
        for index in range(count):
            name = f'{index:06d}'
            picture, labels, _ = draw_scene(rng)
            picture.save(osp.join(folders['image'], f'{name}.jpg'))
            Image.fromarray(labels).save(
                osp.join(folders['label'], f'{name}.png'))
            picture, _, instances = draw_scene(rng)
            picture.save(osp.join(folders['coco'], f'{name}.jpg'))
            images.append(
                dict(
                    id=index,
                    file_name=f'{name}.jpg',
                    width=SIZE[0],
                    height=SIZE[1]))
            annotations += coco_annotations(instances, index,
                                            len(annotations) + 1)
        path = osp.join(folders['annotation'], f'instances_{split}2017.json')
        with open(path, 'w') as file:
            json.dump(
                dict(
                    images=images,
                    annotations=annotations,
                    categories=categories), file)


def main() -> None:
    """Generate."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='folder to write into')
    parser.add_argument('--num-train', type=int, default=80)
    parser.add_argument('--num-val', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    write_scenes(args.out, args.num_train, args.num_val, args.seed)
    print(f'Wrote {args.num_train} + {args.num_val} generated scenes for each '
          f'set to {args.out}.')


if __name__ == '__main__':
    main()
