"""Cut large images with instances into tiles, for training and for scoring.

    tile_coco.py annotations/instances_train.json train/ --size 512 --out tiles

A microscope's or an aerial image with hundreds of objects is more than the
queries of a mask classifier, and scaled down its objects vanish. The tiles of
an image cover it, evenly spaced, at native scale; they overlap by --overlap
pixels at least. What of an object lies in a tile is annotated there, if it is
--min-share of it at least. The folder gets images/ and annotations.json, in
which each tile names the file it is cut from ("parent"), so that a choice of
5 % can be one of source images, and where ("x", "y").
"""
import argparse
import json
import math
import os
import os.path as osp
import sys
from typing import Iterator, List, Optional, Tuple

# `mask_jepa` is found two folders up, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from rich.progress import track

from mask_jepa.utils import AtomicLocalBackend, exit_on, make_parser


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('annotations', help='json file in the form of COCO')
    parser.add_argument('images', help='folder of its images')
    parser.add_argument('--out', required=True, help='folder for the tiles')
    parser.add_argument(
        '--size', type=int, default=512, help='side of a tile in pixels')
    parser.add_argument(
        '--overlap',
        type=int,
        default=0,
        help='pixels that neighbours share at least')
    parser.add_argument(
        '--min-share',
        type=float,
        default=0.2,
        help='share of an object that makes it one of the tile, in (0, 1]')
    return parser.parse_args()


def spread(length: int, size: int, overlap: int) -> List[int]:
    """Space tiles of a size evenly over a length: where they begin."""
    if length <= size:
        return [0]
    count = math.ceil((length - overlap) / (size - overlap))
    return [round(each) for each in np.linspace(0, length - size, count)]


def cut(image: np.ndarray, size: int,
        overlap: int) -> Iterator[Tuple[int, int, Tuple[slice, slice]]]:
    """Cut an image: x and y of each tile, and its window."""
    for y in spread(image.shape[0], size, overlap):
        for x in spread(image.shape[1], size, overlap):
            yield x, y, (slice(y, y + size), slice(x, x + size))


def annotate(annotation: dict, mask: np.ndarray, number: int,
             tile_id: int) -> dict:
    """Describe what of an object, (h, w), lies in a tile."""
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return dict(
        annotation,
        id=number,
        image_id=tile_id,
        segmentation=dict(encoded, counts=encoded['counts'].decode()),
        bbox=coco_mask.toBbox(encoded).tolist(),
        area=int(mask.sum()))


def read(path: str) -> COCO:
    """Read annotations; a ValueError if they are not in the form of COCO."""
    try:
        coco = COCO(path)
        coco.getImgIds()
        coco.dataset['images'], coco.dataset['annotations']
    except (AssertionError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not in the form of COCO ({error!r}): it '
                         'must have images, annotations and categories.')
    return coco


def require_different(images: List[dict]) -> None:
    """Refuse, by a ValueError, files whose tiles would have one name."""
    names = {}
    for image in images:
        name = image['file_name']
        other = names.setdefault(stem_of(name), name)
        if other != name:
            raise ValueError(f'{other} and {name} would make tiles of the '
                             'same names: rename one of them.')


def stem_of(file_name: str) -> str:
    """Name what the tiles of an image have in common."""
    return osp.splitext(file_name)[0].replace('/', '_')


def check(image: Optional[np.ndarray], source: dict, path: str) -> None:
    """Refuse an image that is missing, or another than was annotated."""
    if image is None:
        raise FileNotFoundError(f'There is no image at {path}.')
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'{path} holds {image.dtype}, which tiles cannot: '
                         'save it with 8 or 16 bits.')
    height, width = image.shape[:2]
    if (height, width) != (source['height'], source['width']):
        raise ValueError(
            f'{path} has {width} x {height} pixels, but its annotations are '
            f'for {source["width"]} x {source["height"]}: save it as it was '
            'annotated, without a rotation in its EXIF data.')


def main() -> None:
    """Cut, image by image."""
    args = parse_args()
    with exit_on(FileNotFoundError, ValueError):
        if not 0 <= args.overlap < args.size or not 0 < args.min_share <= 1:
            raise ValueError('--overlap must lie in [0, --size) and '
                             '--min-share in (0, 1].')
        if osp.exists(osp.join(args.out, 'annotations.json')):
            raise ValueError(f'{args.out} holds tiles already: choose another '
                             '--out, or remove it.')
        coco = read(args.annotations)
        os.makedirs(osp.join(args.out, 'images'), exist_ok=True)
        tiles, objects, without_mask = [], [], 0
        require_different(coco.dataset['images'])
        for source in track(coco.loadImgs(coco.getImgIds()), 'Cutting'):
            path = osp.join(args.images, source['file_name'])
            image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
            check(image, source, path)
            annotations = coco.loadAnns(coco.getAnnIds([source['id']]))
            masks = [(each, coco.annToMask(each)) for each in annotations
                     if each.get('segmentation')]
            without_mask += len(annotations) - len(masks)
            stem = stem_of(source['file_name'])
            for x, y, window in cut(image, args.size, args.overlap):
                height, width = image[window].shape[:2]
                tile = dict(
                    id=len(tiles) + 1,
                    file_name=f'{stem}_{x}_{y}.png',
                    width=width,
                    height=height,
                    parent=source['file_name'],
                    x=x,
                    y=y)
                tiles.append(tile)
                for annotation, mask in masks:
                    part = mask[window]
                    if 0 < part.sum() >= args.min_share * mask.sum():
                        number = len(objects) + 1
                        objects.append(
                            annotate(annotation, part, number, tile['id']))
                path = osp.join(args.out, 'images', tile['file_name'])
                if not cv2.imwrite(path, image[window]):
                    raise ValueError(f'Cannot write tiles to {args.out}.')
        content = dict(coco.dataset, images=tiles, annotations=objects)
        # Last, so that a folder with annotations is a whole one.
        AtomicLocalBackend().put_text(
            json.dumps(content), osp.join(args.out, 'annotations.json'))
    if without_mask:
        print(f'{without_mask} annotations have no mask, and are left out.')
    print(f'{len(tiles)} tiles with {len(objects)} objects, of '
          f'{len(coco.imgs)} images, are in {args.out}.')


if __name__ == '__main__':
    main()
