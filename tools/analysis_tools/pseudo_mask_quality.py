"""Compare masks that were made without labels with labelled objects.

    pseudo_mask_quality.py configs/mask_jepa_r50_custom.py \\
        work_dirs/run/last.pth annotations.json images/

Of a pretraining: the pseudo-labels that teach it (regions of the prototypes,
pseudo-instances), and the masks that it predicts for clean images from its
learned queries. Without a checkpoint (none) of the initial weights. Minutes
tell whether hours of training could help.
"""
import argparse
import json
import os.path as osp
import sys
from typing import Dict

# `mask_jepa` is found two folders up, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.runner import set_random_seed
from mmengine.structures import BaseDataElement
from pycocotools.coco import COCO
from rich.progress import track
from torch import Tensor

from mask_jepa.evaluation import MaskQuality, load_model
from mask_jepa.models import MaskJEPA
from mask_jepa.utils import (CFG_OPTIONS, AtomicLocalBackend, evenly_spread,
                             exit_on, load_config, make_parser)


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
    parser.add_argument('--out', help='JSON file for the figures')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    return parser.parse_args()


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
    logits = model.adapter.decode(memory, mask_features, queries)[2][-1]
    predicted = F.interpolate(
        logits, size, mode='bilinear', align_corners=False)[0] > 0
    # One by one: an image may have none.
    proposals = {
        name:
        F.interpolate(each.masks[each.present][:, None], size,
                      mode='nearest')[:, 0] > 0
        for name, each in labels.items()
    }
    return dict(
        proposals, predicted=predicted[predicted.flatten(1).any(dim=1)])


def main() -> None:
    """Compare, image by image."""
    args = parse_args()
    with exit_on(FileNotFoundError, TypeError, ValueError):
        set_random_seed(0)
        model = load_model(
            load_config(args.config, args.cfg_options),
            None if args.checkpoint == 'none' else args.checkpoint)
        if not isinstance(model, MaskJEPA):
            raise TypeError(f'{args.config} describes no MaskJEPA: give the '
                            'config of a pretraining.')
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
        quality: Dict[str, MaskQuality] = {}
        chosen = evenly_spread(len(images), args.num_images)
        for index in track(chosen, 'Comparing'):
            source = images[index]
            pixels = mmcv.imread(osp.join(args.images, source['file_name']))
            batch = model.data_preprocessor(
                dict(
                    inputs=[torch.from_numpy(pixels).permute(2, 0, 1)],
                    data_samples=[BaseDataElement()]))
            objects = [
                coco.annToMask(each)
                for each in coco.loadAnns(coco.getAnnIds(source['id']))
                if each['area'] >= args.min_area
            ]
            objects = np.array(objects, bool).reshape(-1, *pixels.shape[:2])
            for name, masks in propose(model, batch['inputs']).items():
                quality.setdefault(name,
                                   MaskQuality()).add(masks.numpy(), objects)
        found = {name: each.summary() for name, each in quality.items()}
    head = next(iter(found.values()))
    print(f'| masks | {" | ".join(head)} |\n|{"---|" * (len(head) + 1)}')
    for name, row in found.items():
        values = ' | '.join(f'{value:.3f}' for value in row.values())
        print(f'| {name} | {values} |')
    if args.out:
        AtomicLocalBackend().put_text(
            json.dumps(found, indent=1) + '\n', args.out)


if __name__ == '__main__':
    main()
