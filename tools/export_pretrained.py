"""Export pretrained weights for the stock Mask2Former of mmdet or mmseg."""
import argparse
import os.path as osp
import sys

# `projects` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from projects.mask_jepa.export import (BRANCHES, PARTS, TARGET_LIBRARIES,
                                       export_weights, left_out_reasons,
                                       load_checkpoint, save_export)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='that tools/train.py wrote')
    parser.add_argument(
        '--to',
        required=True,
        choices=TARGET_LIBRARIES,
        help='library that will load the weights')
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
        default=list(PARTS),
        choices=PARTS,
        help='only these parts; the transformer decoder comes with queries, '
        'level embeddings and mask embedding; by default all')
    parser.add_argument(
        '--out', help='file to write; by default mask_jepa_<library>.pth '
        'beside the checkpoint, with the parts in its name if not all are in')
    return parser.parse_args()


def main() -> None:
    """Export."""
    args = parse_args()
    try:
        checkpoint = load_checkpoint(args.checkpoint)
        export = export_weights(checkpoint['state_dict'], args.to, args.branch,
                                args.parts)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error))
    # A few parts do not replace the file with all of them.
    some = export.parts if len(export.parts) < len(PARTS) else ()
    out = args.out or osp.join(
        osp.dirname(args.checkpoint),
        '_'.join(['mask_jepa', args.to, *some]) + '.pth')
    save_export(export, out, args.to, args.branch, args.checkpoint)

    values = sum(value.numel() for value in export.state_dict.values())
    print(f'Wrote {len(export.state_dict)} tensors ({values / 1e6:.1f} '
          f'million values, {args.branch} branch) for {args.to} to {out}.')
    print('Left out by design:')
    for reason, count in left_out_reasons(export).items():
        print(f'  {count:4d} tensors  {reason}')


if __name__ == '__main__':
    main()
