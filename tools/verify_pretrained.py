"""Check that a stock mmdet or mmseg model takes the exported weights.

Builds the model of a config, lets mmengine initialise it from the file
through model-level init_cfg, as training would, and compares every tensor.
Exit status 1 unless all that the file promises has arrived.
"""
import logging
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from rich.console import Console
from rich.table import Table

from mask_jepa.utils import (CFG_OPTIONS, exit_on, load_model_config,
                             make_parser)
from mask_jepa.weights import (coverage_report, explain_shortfall,
                               load_checkpoint, parts_left_out)


def main() -> None:
    """Verify."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'config',
        help='mmdet or mmseg config: a file, or the name of one of theirs, '
        'such as mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-'
        '512x512.py')
    parser.add_argument('checkpoint', help='exported file')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    args = parser.parse_args()
    with exit_on(FileNotFoundError, ValueError):
        cfg = load_model_config(args.config, args.cfg_options)
        checkpoint = load_checkpoint(args.checkpoint)
    # What the initialisation did is what this tool reports, tensor by tensor.
    MMLogger.get_instance('mmengine', log_level=logging.ERROR)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    own = cfg.model.get('init_cfg')
    begins = cfg.get('load_from') or (own.get('checkpoint') if isinstance(
        own, dict) else None)
    cfg.model.init_cfg = dict(type='Pretrained', checkpoint=args.checkpoint)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.init_weights()

    table = Table('module', title=f'{args.checkpoint}\nin {args.config}')
    for name in ('expected', 'loaded', 'equal', 'not in the file'):
        table.add_column(name, justify='right')
    report = coverage_report(model, checkpoint['state_dict'])
    for module in report:
        table.add_row(module.module, *(str(count) for count in module[1:]))
    Console().print(table)
    expected = sum(module.expected for module in report)
    equal = sum(module.equal for module in report)
    share = equal / max(expected, 1)
    print(f'{equal} of the {expected} tensors that the file promises are in '
          f'the model, bit for bit ({share:.0%}).')
    if osp.abspath(begins or '') != osp.abspath(args.checkpoint):
        print('A training by this config begins otherwise: for these weights '
              "it needs model.init_cfg=dict(type='Pretrained', "
              f"checkpoint='{args.checkpoint}').")
    left_out = parts_left_out(checkpoint)
    if left_out:
        print('On purpose, by --parts of the export, the file does not hold: '
              f'{", ".join(left_out)}.')
    if not expected or equal < expected:
        raise SystemExit(explain_shortfall(model, checkpoint['state_dict']))


if __name__ == '__main__':
    main()
