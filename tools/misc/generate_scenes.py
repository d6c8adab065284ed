"""Generate labelled street scenes where no real data are at hand.

They are laid out as the small real sets are: camvid/ for mmseg (11 classes)
and coco128/ for mmdet (COCO instances). They show that the code works, and
say nothing about real photographs.
"""
import argparse
import json
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
from mmdet.datasets import CocoDataset
from PIL import Image, ImageDraw, ImageFilter
from pycocotools import mask as coco_mask

SKY, BUILDING, ROAD, TREE, CAR, PEDESTRIAN = 0, 1, 3, 5, 8, 9
COCO_NAMES = {CAR: 'car', PEDESTRIAN: 'person'}
COCO_IDS = {
    name: number
    for number, name in enumerate(CocoDataset.METAINFO['classes'], 1)
}
SIZE = (240, 180)  # width, height in pixels
MIN_AREA = 20  # pixels; an instance of which less is seen is not annotated

Instances = List[Tuple[int, np.ndarray]]


def draw_scene(
        rng: np.random.Generator
) -> Tuple[Image.Image, Image.Image, Instances]:
    """Draw one street.

    Returns:
        tuple: The picture, the labels, and the instances, each as (label,
        visible mask), back to front.
    """
    width, height = SIZE
    canvas = np.zeros((height, width, 3))
    labels = np.zeros((height, width), np.uint8)
    instances: Instances = []

    def paint(label: int, shape: str, *box: float) -> None:
        """Fill a shape with a random colour and a grain of its own."""
        mask = Image.new('1', SIZE)
        getattr(ImageDraw.Draw(mask), shape)(box, fill=1)
        region = np.array(mask)
        colour = rng.uniform(30, 225, 3)
        grain = rng.normal(0, rng.uniform(4, 25), (height, width, 1))
        canvas[region] = (colour + grain)[region]
        labels[region] = label
        for _, visible in instances:
            visible &= ~region
        if label in COCO_NAMES:
            instances.append((label, region))

    horizon = rng.uniform(0.4, 0.6) * height
    paint(SKY, 'rectangle', 0, 0, width, horizon)
    paint(ROAD, 'rectangle', 0, horizon, width, height)
    for _ in range(rng.integers(2, 5)):
        left, roof = rng.uniform(-20, width), rng.uniform(0.1, 0.7) * horizon
        right = left + rng.uniform(30, 80)
        paint(BUILDING, 'rectangle', left, roof, right, horizon)
    for _ in range(rng.integers(1, 4)):
        x, radius = rng.uniform(0, width), rng.uniform(12, 28)
        top = horizon - 2 * radius
        paint(TREE, 'ellipse', x - radius, top, x + radius, horizon)
    for _ in range(rng.integers(1, 4)):
        x, ground = rng.uniform(0, width), rng.uniform(horizon + 20, height)
        size = rng.uniform(20, 50)
        top = ground - 0.5 * size
        paint(CAR, 'rounded_rectangle', x, top, x + size, ground)
    for _ in range(rng.integers(1, 4)):
        x, ground = rng.uniform(0, width), rng.uniform(horizon + 25, height)
        size = rng.uniform(20, 45)
        right = x + 0.4 * size
        paint(PEDESTRIAN, 'ellipse', x, ground - size, right, ground)
    picture = Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    picture = picture.filter(ImageFilter.GaussianBlur(0.7))
    return picture, Image.fromarray(labels), instances


def coco_annotations(instances: Instances, image_id: int,
                     first_id: int) -> List[Dict]:
    """Describe the instances that can be seen, in the form of COCO."""
    seen = [each for each in instances if each[1].sum() >= MIN_AREA]
    annotations = []
    for number, (label, visible) in enumerate(seen, first_id):
        segmentation = coco_mask.encode(np.asfortranarray(visible, np.uint8))
        bbox = coco_mask.toBbox(segmentation).tolist()
        segmentation['counts'] = segmentation['counts'].decode()
        annotations.append(
            dict(
                id=number,
                image_id=image_id,
                category_id=COCO_IDS[COCO_NAMES[label]],
                segmentation=segmentation,
                area=int(visible.sum()),
                bbox=bbox,
                iscrowd=0))
    return annotations


def write_scenes(out: str, num_train: int, num_val: int, seed: int) -> None:
    """Write both sets."""
    root = Path(out)
    rng = np.random.default_rng(seed)
    categories = [dict(id=id, name=name) for name, id in COCO_IDS.items()]
    for split, count in dict(train=num_train, val=num_val).items():
        images_folder = root / 'camvid/img_dir' / split
        labels_folder = root / 'camvid/ann_dir' / split
        coco_folder = root / f'coco128/{split}2017'
        coco_file = root / f'coco128/annotations/instances_{split}2017.json'
        for folder in (images_folder, labels_folder, coco_folder,
                       coco_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        images, annotations = [], []
        for index in range(count):
            name = f'{index:06d}.jpg'
            picture, labels, _ = draw_scene(rng)
            picture.save(images_folder / name)
            labels.save(labels_folder / f'{index:06d}.png')
            picture, _, instances = draw_scene(rng)
            picture.save(coco_folder / name)
            images.append(
                dict(id=index, file_name=name, width=SIZE[0], height=SIZE[1]))
            annotations += coco_annotations(instances, index,
                                            len(annotations) + 1)
        content = dict(
            images=images, annotations=annotations, categories=categories)
        coco_file.write_text(json.dumps(content))


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
