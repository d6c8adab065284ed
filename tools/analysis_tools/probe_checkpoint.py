"""Segment with the frozen features of a checkpoint.

The probe of a pretraining, after the fact: of a pretraining checkpoint, of an
exported file, or of a Mask2Former of stock mmdet or mmseg.
"""
import argparse
import json
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

import torch
from mmengine.runner import set_random_seed
from rich.console import Console
from rich.table import Table

from mask_jepa.evaluation import (DenseProbe, build_probe_evaluator,
                                  build_probe_loaders, load_model)
from mask_jepa.utils import CFG_OPTIONS, exit_on, load_config, make_parser


def read_data(args: argparse.Namespace) -> dict:
    """Build what the probe needs of the labelled images, by its names."""
    data = load_config(args.data, args.cfg_options)
    train_dataset = (data.get('val_cfg') or {}).get('train_dataset')
    if train_dataset is None:
        train_dataset = (data.get('train_dataloader') or {}).get('dataset')
    if not (train_dataset and data.get('val_dataloader')
            and data.get('val_evaluator')):
        raise ValueError(
            f'{args.data} has no labelled images: give an mmseg config with '
            'train_dataloader, val_dataloader and val_evaluator.')
    if args.data_root:
        for dataset in (train_dataset, data.val_dataloader.dataset):
            while 'dataset' in dataset:  # as in RepeatDataset
                dataset = dataset.dataset
            dataset.data_root = args.data_root
    try:
        loaders = build_probe_loaders(data.val_dataloader, train_dataset,
                                      args.max_images)
    except FileNotFoundError as error:
        raise ValueError(f'{error} Give their folder with --data-root.')
    return dict(
        fit_loader=loaders['fit'],
        test_loader=loaders['test'],
        evaluator=build_probe_evaluator(data.val_evaluator,
                                        loaders['test'].dataset))


def main() -> None:
    """Probe."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'config',
        help='config of the checkpoint: of a pretraining, or of '
        'mmdet or mmseg')
    parser.add_argument(
        'checkpoint', help='checkpoint file, or "none" for initial weights')
    parser.add_argument(
        '--data',
        required=True,
        help='mmseg config with the labelled images (train_dataloader, '
        'val_dataloader, val_evaluator), such as '
        'mmseg::_base_/datasets/ade20k.py; or a pretraining config with a '
        'SegmentationProbe; --cfg-options change this config')
    parser.add_argument('--data-root', help='where these images are')
    parser.add_argument(
        '--max-images',
        type=int,
        help='use at most so many images of each set, evenly spread')
    parser.add_argument(
        '--branch', choices=['online', 'target'], default='online')
    parser.add_argument(
        '--levels',
        nargs='+',
        default=['F_last', 'F_3', 'F_2', 'F_1', 'c4'],
        help='c1 to c4 (backbone), F_1 to F_3 (memory), F_last; c2+c3 are '
        'both, side by side')
    parser.add_argument(
        '--num-clusters',
        type=int,
        help='score so many k-means clusters as well, named by their labels: '
        'what to choose for model.target_levels')
    parser.add_argument('--out', help='JSON file for the results')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    args = parser.parse_args()
    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    set_random_seed(0)  # of initial weights
    with exit_on(FileNotFoundError, TypeError, ValueError):
        model = load_model(load_config(args.config), checkpoint)
        probe = DenseProbe(
            branch=args.branch,
            levels=args.levels,
            num_clusters=args.num_clusters,
            progress=True,
            **read_data(args))
        metrics = probe.measure(model.to(args.device))
    kinds = dict(linear='linear mIoU', knn='k-NN mIoU')
    if args.num_clusters is not None:
        kinds['clusters'] = f'{args.num_clusters} clusters mIoU'
    table = Table(
        'level', *kinds.values(), title=f'{args.checkpoint}, {args.branch}')
    for level in args.levels:
        prefix = '' if level == args.levels[0] else f'{level}_'
        table.add_row(
            level,
            *(f'{metrics[f"{prefix}{kind}_mIoU"]:.2f}' for kind in kinds))
    Console().print(table)
    if args.out:
        with open(args.out, 'w') as file:
            json.dump(metrics, file, indent=2)


if __name__ == '__main__':
    main()
