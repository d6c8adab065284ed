"""Choose some of the labelled images, for training with few labels.

The same labels, seed and share give the same images on every machine, and
smaller subsets lie within larger ones.

    make_subset.py data/coco/annotations/instances_train2017.json
    make_subset.py mmseg::_base_/datasets/ade20k.py --shares 1/16 --balanced

SOURCE is an annotation file of COCO's form (instances or panoptic, also those
of Cityscapes and ADE20K for mmdet), or a config of mmseg that trains on one
data set. A subset is named after its share: instances_train2017_1-16.json
beside the whole file, or splits/training_1-16.txt in the data root; either is
an ann_file of the library's own data set. The configs that end in _1-16 read
such files. What is not the default is in the name as well:
training_1-16_balanced.txt, training_1-16_seed1.txt.
"""
import argparse
import os.path as osp
import sys

# `projects` is found beside this folder, also without an installation.
sys.path.insert(
    0, osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__)))))

from coco_subset import CocoAnnotations
from mmseg_subset import MMSegImages
from subset_names import choice_suffix
from subset_order import subset_order
from subset_sizes import subset_sizes

from projects.mask_jepa.utils import load_config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='SOURCE')
    parser.add_argument(
        '--shares',
        nargs='*',
        default=['1/2', '1/4', '1/8', '1/16'],
        help='of the images; by default 1/2 1/4 1/8 1/16')
    parser.add_argument(
        '--num-images',
        nargs='*',
        type=int,
        default=[],
        help='subsets of so many images as well')
    parser.add_argument(
        '--balanced',
        action='store_true',
        help='choose images so that rare classes are in as many of them as '
        'can be; _balanced goes into the name')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the choice; _seed1 goes into the name for 1, and so on')
    return parser.parse_args()


def main() -> None:
    """Choose."""
    args = parse_args()
    try:
        suffix = choice_suffix(args.balanced, args.seed)
        source = (
            CocoAnnotations(args.source) if args.source.endswith('.json') else
            MMSegImages(load_config(args.source)))
        sizes = subset_sizes(len(source), args.shares, args.num_images)
        classes = source.classes() if args.balanced else None
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error))
    order = subset_order(len(source), args.seed, classes)
    for name, size in sizes.items():
        path = source.write(name + suffix, order[:size])
        print(f'{size} of {len(source)} images: {path}')


if __name__ == '__main__':
    main()
