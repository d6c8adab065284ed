"""Compare masks that were made without labels with labelled objects.

    pseudo_mask_quality.py configs/mask_jepa_r50_custom.py \\
        work_dirs/run/last.pth annotations.json images/

Of a pretraining: the pseudo-labels that teach it (regions of the prototypes,
pseudo-instances), and the masks that it predicts for clean images from its
learned queries; those that it takes for single things once more. Without a
checkpoint (none) of the initial weights. Minutes tell whether hours of
training could help. With --detector also those of a fine-tuned detector of
mmdet, whose score is above a half.
"""
import argparse
import json
import os.path as osp
import sys
from colorsys import hsv_to_rgb
from typing import Dict, List, Optional

# `mask_jepa` is found two folders up, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

import mmcv
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.models import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.runner import set_random_seed
from PIL import Image
from pycocotools.coco import COCO
from rich.progress import track
from torch import Tensor
from torchvision.utils import draw_segmentation_masks

from mask_jepa.evaluation import MaskQuality, load_model
from mask_jepa.models import MaskJEPA
from mask_jepa.utils import (CFG_OPTIONS, AtomicLocalBackend, evenly_spread,
                             exit_on, load_config, make_parser)
from mask_jepa.visualization import draw_sheet


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='pretraining config file path')
    parser.add_argument(
        'checkpoint', help='that tools/train.py wrote, or none')
    parser.add_argument('annotations', help='json file in the form of COCO')
    parser.add_argument('images', help='folder of its images')
    parser.add_argument('--num-images', type=int, default=200)
    parser.add_argument(
        '--min-area', type=int, default=30, help='of an object, in pixels')
    parser.add_argument(
        '--detector',
        nargs=3,
        action='append',
        default=[],
        metavar=('NAME', 'CONFIG', 'CHECKPOINT'),
        help='of mmdet, fine-tuned; may be given several times')
    parser.add_argument('--out', help='JSON file for the figures')
    parser.add_argument('--picture', help='PNG file of the masks of 6 images')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    return parser.parse_args()


def load(config: str,
         checkpoint: str,
         options: Optional[dict] = None) -> nn.Module:
    """Build a model with its weights; 'none' stands for the initial ones."""
    return load_model(
        load_config(config, options),
        None if checkpoint == 'none' else checkpoint,
        whole_head=True)


@torch.no_grad()
def propose(model: MaskJEPA, image: Tensor) -> Dict[str, Tensor]:
    """Make the masks of an image, (1, 3, H, W): each bool (M, H, W)."""
    size = image.shape[-2:]
    step = model.predict_target(image)
    labels = {}
    if model.prototypes is not None:
        labels['prototypes'] = model.prototypes(step.target_on_grid)
    if model.pseudo_instances is not None:
        labels['pseudo-instances'] = model.pseudo_instances(image)
    mask_features, memory = model.encode(image)
    queries = model.adapter.learned_queries[None]
    _, class_scores, logits = model.adapter.decode(memory, mask_features,
                                                   queries)
    predicted = F.interpolate(
        logits[-1], size, mode='bilinear', align_corners=False)[0] > 0
    present = predicted.flatten(1).any(dim=1)
    # One by one: an image may have none.
    proposals = {
        name:
        F.interpolate(each.masks[each.present][:, None], size,
                      mode='nearest')[:, 0] > 0
        for name, each in labels.items()
    }
    proposals['predicted'] = predicted[present]
    if model.pseudo_instances is not None:
        classes = class_scores[-1][0].argmax(dim=1)
        things = classes == model.pseudo_instances.thing_class
        proposals['predicted as things'] = predicted[present & things]
    return proposals


@torch.no_grad()
def detect(model: BaseDetector, batch: dict) -> Tensor:
    """Find the instances of an image, bool (M, H, W)."""
    inputs = model.data_preprocessor(batch)
    found = model(**inputs, mode='predict')[0].pred_instances
    return found.masks[found.scores > 0.5]


def draw(pixels: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Colour masks, bool (M, H, W), on an image, BGR, uint8 (H, W, 3).

    Where they overlap, the smallest is seen.
    """
    if not len(masks):  # torchvision would warn of that
        return mmcv.bgr2rgb(pixels) / 255
    image = torch.from_numpy(mmcv.bgr2rgb(pixels)).permute(2, 0, 1)
    hues = np.arange(len(masks)) * 0.618 % 1
    colours = [
        tuple(round(255 * part) for part in hsv_to_rgb(hue, 0.8, 1))
        for hue in hues
    ]
    areas = masks.sum((1, 2), keepdims=True)
    owners = np.where(masks, areas, np.inf).argmin(0)
    masks = masks & (owners == np.arange(len(masks))[:, None, None])
    drawn = draw_segmentation_masks(image, torch.from_numpy(masks), 0.6,
                                    colours)
    return drawn.permute(1, 2, 0).numpy() / 255


def main() -> None:
    """Compare, image by image."""
    args = parse_args()
    with exit_on(FileNotFoundError, TypeError, ValueError):
        set_random_seed(0)
        model = load(args.config, args.checkpoint, args.cfg_options)
        if not isinstance(model, MaskJEPA):
            raise TypeError(f'{args.config} describes no MaskJEPA: give the '
                            'config of a pretraining.')
        detectors = {
            name: load(config, checkpoint)
            for name, config, checkpoint in args.detector
        }
        coco = COCO(args.annotations)
        stride = model.masking.stride
        images = [
            image for image in coco.loadImgs(sorted(coco.getImgIds()))
            if image['width'] % stride == image['height'] % stride == 0
        ]
        if not images:
            raise ValueError(
                f'No image has sides of multiples of {stride} pixels: cut '
                'tiles with tools/dataset_converters/tile_coco.py.')
        if len(images) < len(coco.imgs):
            print(f'{len(images)} of {len(coco.imgs)} images have sides of '
                  f'multiples of {stride} pixels, and are compared.')
        quality: Dict[str, MaskQuality] = {}
        chosen = evenly_spread(len(images), args.num_images)
        shown = evenly_spread(len(chosen), 6)
        rows: List[List[np.ndarray]] = []
        for number, index in enumerate(track(chosen, 'Comparing')):
            source = images[index]
            path = osp.join(args.images, source['file_name'])
            pixels = mmcv.imread(path, 'unchanged')
            if pixels is None or pixels.dtype != np.uint8:
                raise ValueError(f'{path} is no image of 8 bits.')
            pixels = mmcv.imread(path)
            batch = dict(
                inputs=[torch.from_numpy(pixels).permute(2, 0, 1)],
                data_samples=[
                    DetDataSample(
                        metainfo=dict(
                            ori_shape=pixels.shape[:2],
                            img_shape=pixels.shape[:2],
                            scale_factor=(1.0, 1.0)))
                ])
            objects = [
                coco.annToMask(each)
                for each in coco.loadAnns(coco.getAnnIds(source['id']))
                if each['area'] >= args.min_area and not each.get('iscrowd')
            ]
            objects = np.array(objects, bool).reshape(-1, *pixels.shape[:2])
            inputs = model.data_preprocessor(batch)['inputs']
            found = propose(model, inputs)
            for name, detector in detectors.items():
                found[name] = detect(detector, batch)
            found = {name: masks.numpy() for name, masks in found.items()}
            for name, masks in found.items():
                quality.setdefault(name, MaskQuality()).add(masks, objects)
            if args.picture and number in shown:
                panels = {'image': objects[:0], 'objects': objects, **found}
                if 'predicted as things' in panels:
                    del panels['predicted']
                rows.append([draw(pixels, each) for each in panels.values()])
        summaries = {name: each.summary() for name, each in quality.items()}
    head = next(iter(summaries.values()))
    print(f'| masks | {" | ".join(head)} |\n|{"---|" * (len(head) + 1)}')
    for name, row in summaries.items():
        values = ' | '.join(f'{value:.3f}' for value in row.values())
        print(f'| {name} | {values} |')
    if args.out:
        AtomicLocalBackend().put_text(
            json.dumps(summaries, indent=1) + '\n', args.out)
    if args.picture:
        Image.fromarray(draw_sheet(rows, list(panels))).save(args.picture)


if __name__ == '__main__':
    main()
