"""Export pretrained weights for mmdet, mmseg or another framework.

For mmdet, mmseg and mmdet-vis (Mask2FormerVIS) a file for init_cfg; for
huggingface a folder for from_pretrained; for detectron2 a file for its
checkpointer; for timm and torchvision the backbone's state dict.
"""
import argparse
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from mask_jepa.apis import write_export
from mask_jepa.utils import exit_on, make_parser
from mask_jepa.weights import (BRANCHES, FRAMEWORKS, HEAD_PREFIXES, PARTS,
                               left_out_reasons)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('checkpoint', help='that tools/train.py wrote')
    parser.add_argument(
        '--to',
        required=True,
        choices=[*HEAD_PREFIXES, *FRAMEWORKS],
        help='what will load the weights')
    parser.add_argument(
        '--branch',
        default='online',
        choices=BRANCHES,
        help='which backbone and pixel decoder: the online ones, trained '
        'together with the transformer decoder, or their moving average; by '
        'default online')
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=PARTS,
        help='only these parts; the transformer decoder comes with queries, '
        'level embeddings and mask embedding; by default all that the '
        'library has')
    parser.add_argument(
        '--config',
        help='of the pretraining, for other frameworks; by default the one in '
        'the checkpoint')
    parser.add_argument(
        '--out',
        help='what to write; by default, beside the checkpoint, '
        'mask_jepa_<library>-<digits of its SHA-256>.pth or the folder '
        'mask_jepa_huggingface, with the parts in its name if not all are in')
    return parser.parse_args()


def main() -> None:
    """Export."""
    args = parse_args()
    with exit_on(FileNotFoundError, ValueError):
        export, written, out = write_export(args.checkpoint, args.to, args.out,
                                            args.branch, args.parts,
                                            args.config)
    values = sum(value.numel() for value in written.weights.values())
    print(f'Wrote {len(written.weights)} tensors ({values / 1e6:.1f} '
          f'million values, {args.branch} branch) for {args.to} to {out}.')
    if written.without_place:
        names = ', '.join(f'{count} {name}'
                          for name, count in written.without_place.items())
        print(f'{args.to} has no place for '
              f'{sum(written.without_place.values())} tensors: {names}.')
    print('Left out by design:')
    for reason, count in left_out_reasons(export).items():
        print(f'  {count:4d} tensors  {reason}')


if __name__ == '__main__':
    main()
