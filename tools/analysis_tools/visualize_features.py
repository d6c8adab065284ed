"""Compare the mask features of models on a folder of images."""
import argparse
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

from typing import List, Sequence, Tuple

import numpy as np
import torch
from mmcv.transforms import CenterCrop
from mmengine.runner import set_random_seed
from mmengine.structures import BaseDataElement
from mmpretrain.datasets.transforms import ResizeEdge
from PIL import Image
from torch import Tensor

from mask_jepa.apis.encode import find_images, reading_of
from mask_jepa.datasets import LoadUnlabeledImage, UnreadableImageError
from mask_jepa.evaluation import encode_levels, load_model
from mask_jepa.utils import evenly_spread, exit_on, load_config, make_parser
from mask_jepa.visualization import MAX_CLUSTERS, draw_features
from mask_jepa.weights import load_checkpoint

STRIDE = 32  # of the coarsest features, in pixels


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'images',
        nargs='+',
        help='folders, searched recursively, .txt lists, or files')
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
    names = [name for name, *_ in args.model]
    if len(set(names)) < len(names):
        parser.error('each --model needs a name of its own.')
    if args.num_images < 1:
        parser.error('--num-images must be at least 1.')
    if not 2 <= args.num_clusters <= MAX_CLUSTERS:
        parser.error(f'--num-clusters must lie in [2, {MAX_CLUSTERS}].')
    if args.image_size < STRIDE:
        parser.error(f'--image-size must be at least {STRIDE}.')
    return args


def load_image(path: str, short_side: int, **reading) -> np.ndarray:
    """Load and scale an image, its sides cut to multiples of the stride.

    Args:
        path (str): The file.
        short_side (int): In pixels.
        **reading: Of :class:`LoadUnlabeledImage`, which by default gives BGR.

    Returns:
        np.ndarray: In [0, 255], (H, W, C), or (H, W) if there is one channel.
    """
    try:
        results = LoadUnlabeledImage(**reading)(dict(img_path=path))
    except UnreadableImageError as error:
        raise SystemExit(f'An image cannot be read: {error}.')
    results = ResizeEdge(short_side, edge='short')(results)
    height, width = (side - side % STRIDE for side in results['img_shape'])
    return CenterCrop((width, height))(results)['img']


def show(image: np.ndarray) -> np.ndarray:
    """Turn an image of any channels into RGB in [0, 1], (H, W, 3)."""
    image = np.atleast_3d(image) / 255
    return (image[..., 2::-1] if image.shape[2] > 2 else np.repeat(
        image[..., :1], 3, -1))


@torch.no_grad()
def encode(config: str, checkpoint: str, branch: str, paths: Sequence[str],
           short_side: int) -> Tuple[List[Tensor], List[np.ndarray]]:
    """Compute the mask features of images, one image at a time, read as the
    pretraining read its own.

    Returns:
        tuple[list[Tensor], list[np.ndarray]]: F_last, each (C, H/4, W/4), and
        the images as they were read.
    """
    set_random_seed(0)
    cfg = load_config(config)
    weights = None if checkpoint == 'none' else checkpoint
    model = load_model(cfg, weights)
    reading = reading_of(load_checkpoint(weights) if weights else {}, cfg)
    features, images = [], []
    for path in paths:
        image = load_image(path, short_side, **reading)
        pixels = torch.from_numpy(np.atleast_3d(image)).permute(2, 0, 1)
        batch = model.data_preprocessor(
            dict(inputs=[pixels], data_samples=[BaseDataElement()]))
        levels = encode_levels(model, batch['inputs'], branch)
        features.append(levels['F_last'][0])
        images.append(image)
    return features, images


def main() -> None:
    """Draw."""
    args = parse_args()
    with exit_on(FileNotFoundError, ValueError):
        found = find_images(args.images)
    paths = [
        found[index] for index in evenly_spread(len(found), args.num_images)
    ]
    mask_features, images = {}, {}
    for index, (name, config, checkpoint) in enumerate(args.model, 1):
        print(f'[{index}/{len(args.model)}] {name}: {len(paths)} images '
              f'through {config} with {checkpoint}')
        try:
            mask_features[name], images[name] = encode(config, checkpoint,
                                                       args.branch, paths,
                                                       args.image_size)
        except (FileNotFoundError, TypeError, ValueError) as error:
            raise SystemExit(f'Model {name}: {error}')
    sheet = draw_features([show(image) for image in images[args.model[0][0]]],
                          [osp.basename(path) for path in paths],
                          mask_features, args.num_clusters)
    Image.fromarray(sheet).save(args.out)
    print(f'Drew {len(paths)} images to {args.out}.')


if __name__ == '__main__':
    main()
