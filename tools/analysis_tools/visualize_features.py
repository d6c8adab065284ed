"""Compare the mask features of models on a folder of images."""
import argparse
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

from typing import List, Sequence

import numpy as np
import torch
from mmcv.transforms import CenterCrop
from mmengine.runner import set_random_seed
from mmengine.structures import BaseDataElement
from mmpretrain.datasets.transforms import ResizeEdge
from PIL import Image
from torch import Tensor

from mask_jepa.datasets import (LoadUnlabeledImage, UnlabeledImageDataset,
                                UnreadableImageError)
from mask_jepa.evaluation import encode_levels, load_model
from mask_jepa.utils import evenly_spread, load_config, make_parser
from mask_jepa.visualization import MAX_CLUSTERS, draw_features

STRIDE = 32  # of the coarsest features, in pixels


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'images', nargs='+', help='folders, searched recursively, or files')
    parser.add_argument(
        '--model',
        nargs=3,
        action='append',
        required=True,
        metavar=('NAME', 'CONFIG', 'CHECKPOINT'),
        help='a pretraining or a Mask2Former of mmdet or mmseg; "none" as '
        'the checkpoint takes its initial weights; may be given repeatedly')
    parser.add_argument('--out', default='features.png')
    parser.add_argument('--num-images', type=int, default=6)
    parser.add_argument('--num-clusters', type=int, default=8)
    parser.add_argument(
        '--branch',
        choices=['online', 'target'],
        default='online',
        help='encoder of a pretraining')
    parser.add_argument(
        '--image-size',
        type=int,
        default=256,
        help='short side of the images, in pixels')
    args = parser.parse_args()
    if args.num_images < 1:
        parser.error('--num-images must be at least 1.')
    if not 2 <= args.num_clusters <= MAX_CLUSTERS:
        parser.error(f'--num-clusters must lie in [2, {MAX_CLUSTERS}].')
    if args.image_size < STRIDE:
        parser.error(f'--image-size must be at least {STRIDE}.')
    return args


def find_images(sources: Sequence[str], count: int) -> List[str]:
    """List images of folders and files, evenly spread over all of them."""
    paths = []
    for source in sources:
        if osp.isfile(source):
            paths.append(source)
            continue
        try:
            dataset = UnlabeledImageDataset(
                source, pipeline=[], lazy_init=True)
            paths += [info['img_path'] for info in dataset.load_data_list()]
        except FileNotFoundError:
            raise SystemExit(f'There is no image or folder at {source}.')
        except ValueError:
            raise SystemExit(f'{source} holds no image.')
    return [paths[index] for index in evenly_spread(len(paths), count)]


def load_image(path: str, short_side: int) -> np.ndarray:
    """Load and scale an image, its sides cut to multiples of the stride.

    Returns:
        np.ndarray: BGR, uint8, (H, W, 3).
    """
    try:
        results = LoadUnlabeledImage()(dict(img_path=path))
    except UnreadableImageError as error:
        raise SystemExit(f'An image cannot be read: {error}.')
    results = ResizeEdge(short_side, edge='short')(results)
    height, width = (side - side % STRIDE for side in results['img_shape'])
    return CenterCrop((width, height))(results)['img']


@torch.no_grad()
def encode(config: str, checkpoint: str, branch: str,
           images: Sequence[np.ndarray]) -> List[Tensor]:
    """Compute the mask features of images, one image at a time.

    Returns:
        list[Tensor]: F_last, each (C, H/4, W/4).
    """
    set_random_seed(0)
    model = load_model(
        load_config(config), None if checkpoint == 'none' else checkpoint)
    features = []
    for image in images:
        pixels = torch.from_numpy(image).permute(2, 0, 1)
        batch = model.data_preprocessor(
            dict(inputs=[pixels], data_samples=[BaseDataElement()]))
        levels = encode_levels(model, batch['inputs'], branch)
        features.append(levels['F_last'][0])
    return features


def main() -> None:
    """Draw."""
    args = parse_args()
    paths = find_images(args.images, args.num_images)
    images = [load_image(path, args.image_size) for path in paths]
    mask_features = {}
    for index, (name, config, checkpoint) in enumerate(args.model, 1):
        print(f'[{index}/{len(args.model)}] {name}: {len(images)} images '
              f'through {config} with {checkpoint}')
        try:
            mask_features[name] = encode(config, checkpoint, args.branch,
                                         images)
        except (FileNotFoundError, TypeError, ValueError) as error:
            raise SystemExit(f'Model {name}: {error}')
    sheet = draw_features([image[..., ::-1] / 255 for image in images],
                          [osp.basename(path) for path in paths],
                          mask_features, args.num_clusters)
    Image.fromarray(sheet).save(args.out)
    print(f'Drew {len(images)} images to {args.out}.')


if __name__ == '__main__':
    main()
