"""Export pretrained weights for mmdet, mmseg or another framework.

For mmdet, mmseg and mmdet-vis (Mask2FormerVIS) a file for init_cfg; for
huggingface a folder for from_pretrained; for detectron2 a file for its
checkpointer; for timm and torchvision the backbone's state dict.
"""
import argparse
import os.path as osp
import sys
from typing import Tuple

# `projects` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from projects.mask_jepa.export import (BRANCHES, FRAMEWORKS, HEAD_PREFIXES,
                                       PARTS, Export, export_weights,
                                       left_out_reasons, load_checkpoint,
                                       pretraining_config, save_export)
from projects.mask_jepa.utils import load_config

BACKBONE_ALONE = ('timm', 'torchvision')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
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
        default=list(PARTS),
        choices=PARTS,
        help='only these parts; the transformer decoder comes with queries, '
        'level embeddings and mask embedding; by default all')
    parser.add_argument(
        '--config',
        help='of the pretraining, for other frameworks; by default the one in '
        'the checkpoint')
    parser.add_argument(
        '--out', help='what to write; by default mask_jepa_<library>.pth, or '
        'the folder mask_jepa_huggingface, beside the checkpoint, with the '
        'parts in its name if not all are in')
    return parser.parse_args()


def export_for(args: argparse.Namespace) -> Tuple[Export, str]:
    """Read, convert and write the weights.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        tuple[Export, str]: What was exported, and where to.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be exported for that library.
    """
    checkpoint = load_checkpoint(args.checkpoint)
    library = args.to if args.to in HEAD_PREFIXES else 'mmdet'
    parts = ['backbone'] if args.to in BACKBONE_ALONE else args.parts
    export = export_weights(checkpoint['state_dict'], library, args.branch,
                            parts)
    # A few parts do not replace the file with all of them.
    some = export.parts if len(export.parts) < len(PARTS) else ()
    name = '_'.join(['mask_jepa', args.to, *some])
    write, ending = FRAMEWORKS.get(args.to, (None, '.pth'))
    out = args.out or osp.join(
        osp.dirname(args.checkpoint), f'{name}{ending}')
    if write is None:
        save_export(export, out, args.to, args.branch, args.checkpoint)
    else:
        config = (
            load_config(args.config)
            if args.config else pretraining_config(checkpoint))
        write(export.state_dict, config.model, out)
    return export, out


def main() -> None:
    """Export."""
    args = parse_args()
    try:
        export, out = export_for(args)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error))
    values = sum(value.numel() for value in export.state_dict.values())
    print(f'Wrote {len(export.state_dict)} tensors ({values / 1e6:.1f} '
          f'million values, {args.branch} branch) for {args.to} to {out}.')
    print('Left out by design:')
    for reason, count in left_out_reasons(export).items():
        print(f'  {count:4d} tensors  {reason}')


if __name__ == '__main__':
    main()
