"""Count the images that one core loads in a second.

Three pipelines load the same crops of the same images in turn: that of the
config, whole decoding with our loader, and whole decoding with mmpretrain's.
Counted are CPU seconds of one thread, so that other work on the machine
matters little.
"""
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

import statistics
import tempfile
import time
from typing import List

import cv2
import torch
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from rich.console import Console
from rich.table import Table

from mask_jepa.datasets import SeededIndex, UnlabeledImageDataset, load_seeded
from mask_jepa.utils import (CFG_OPTIONS, DATA, evenly_spread, exit_on,
                             load_config, make_parser)

STOCK = 'mmpretrain, whole decoding'


def whole_decoding(load: str, pack: str, crop: dict) -> List[dict]:
    """Compose a pipeline that decodes an image before it is cropped."""
    return [
        dict(type=load),
        dict(crop, type='mmpretrain.RandomResizedCrop'),
        dict(type='mmpretrain.RandomFlip', prob=0.5),
        dict(type=pack, meta_keys=('img_path', 'ori_shape', 'img_shape'))
    ]


def resave(paths: List[str], side: int, folder: str) -> List[str]:
    """Save images as baseline JPEG of quality 90, ``side`` pixels long."""
    saved = []
    for path in paths:
        image = Image.open(path).convert('RGB')
        scale = side / max(image.size)
        image = image.resize([round(scale * each) for each in image.size],
                             Image.Resampling.BICUBIC)
        saved.append(osp.join(folder, f'{len(saved)}.jpg'))
        image.save(saved[-1], quality=90)
    return saved


def images_per_second(dataset: UnlabeledImageDataset, seed: int) -> float:
    """Load each image of a data set once, with a seed of its own."""
    begin = time.process_time()
    for index in range(len(dataset)):
        load_seeded(dataset, [SeededIndex(index, seed * len(dataset) + index)])
    return len(dataset) / (time.process_time() - begin)


def main() -> None:
    """Measure."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='pretraining config file path')
    parser.add_argument('--num-images', type=int, default=40)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument(
        '--resave-at',
        type=int,
        metavar='PIXELS',
        help='load copies, baseline JPEG of quality 90, of which the longer '
        'side has so many pixels')
    parser.add_argument('--data', **DATA)
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    args = parser.parse_args()
    if min(args.num_images, args.rounds) < 1:
        parser.error('--num-images and --rounds must be at least 1.')
    with exit_on(FileNotFoundError, ValueError):
        cfg = load_config(args.config, args.cfg_options, train=args.data)
        init_default_scope(cfg.default_scope)
        configured = DATASETS.build(cfg.train_dataloader.dataset)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    crop_size = cfg.train_dataloader.dataset.crop_size
    pipeline = cfg.train_dataloader.dataset.pipeline
    crop = dict(crop_ratio_range=pipeline[1].crop_ratio_range)
    pipelines = {
        STOCK:
        whole_decoding('mmpretrain.LoadImageFromFile', 'mmpretrain.PackInputs',
                       crop),
        'ours, whole decoding':
        whole_decoding('LoadUnlabeledImage', 'PackDetInputs', crop),
        osp.basename(args.config):
        pipeline
    }
    paths = [
        configured.get_data_info(index)['img_path']
        for index in evenly_spread(len(configured), args.num_images)
    ]
    if not all(map(osp.isfile, paths)):
        parser.error('images in zip or tar cannot be timed: unpack some.')
    speeds = {name: [] for name in pipelines}
    with tempfile.TemporaryDirectory() as folder:
        if args.resave_at:
            paths = resave(paths, args.resave_at, folder)
        listing = osp.join(folder, 'images.txt')
        with open(listing, 'w') as file:
            file.writelines(f'{osp.abspath(path)}\n' for path in paths)
        datasets = {
            name: UnlabeledImageDataset(listing, each, crop_size)
            for name, each in pipelines.items()
        }
        for seed in range(args.rounds):
            for name, dataset in datasets.items():
                speeds[name].append(images_per_second(dataset, seed))

    table = Table(
        'pipeline',
        'images/s of a core',
        'times as many',
        title=f'{len(paths)} images, crops of {crop_size} pixels, median and '
        f'range of {args.rounds} rounds')
    for name, values in speeds.items():
        ratios = [one / other for one, other in zip(values, speeds[STOCK])]
        table.add_row(name, spread(values, '.0f'), spread(ratios, '.2f'))
    Console().print(table)


def spread(values: List[float], form: str) -> str:
    """Write the median of values, and their range."""
    return (f'{statistics.median(values):{form}} ({min(values):{form}} to '
            f'{max(values):{form}})')


if __name__ == '__main__':
    main()
