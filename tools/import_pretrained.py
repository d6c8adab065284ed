"""Start Mask-JEPA from a trained Mask2Former, for images of another domain.

    import_pretrained.py WEIGHTS --from huggingface --config CONFIG
    train.py CONFIG --init mask_jepa_init.pth

WEIGHTS is a checkpoint of mmdet or mmseg, a folder of Hugging Face, or a file
of Mask2Former's own code (detectron2); CONFIG the pretraining of the same
architecture. Exit status 1 unless every weight of backbone, neck, pixel
decoder and transformer decoder is found.
"""
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import save_checkpoint

from mask_jepa.utils import ATOMIC_LOCAL, exit_on, make_parser
from mask_jepa.weights import (SOURCES, check_out, import_weights, is_imported,
                               load_foreign_weights, load_pretraining_config)

# Buffers that a model computes, and that some libraries do not keep.
COMPUTED = ('num_batches_tracked', 'relative_position_index')


def main() -> None:
    """Import."""
    parser = make_parser(__doc__)
    parser.add_argument('weights', metavar='WEIGHTS')
    parser.add_argument(
        '--from',
        dest='source',
        required=True,
        choices=SOURCES,
        help='what wrote them')
    parser.add_argument(
        '--config', required=True, help='of the pretraining that starts')
    parser.add_argument('--out', default='mask_jepa_init.pth')
    args = parser.parse_args()
    with exit_on(FileNotFoundError, ValueError):
        check_out(args.out, args.weights)
        config = load_pretraining_config(args.config)
        weights = load_foreign_weights(args.weights)
        ours, left = import_weights(weights, args.source, config.model)
    init_default_scope(config.get('default_scope', 'mmdet'))
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    wanted = {
        name: value
        for name, value in model.state_dict().items() if is_imported(name)
    }
    fitting = {
        name: ours[name]
        for name, value in wanted.items()
        if name in ours and ours[name].shape == value.shape
    }
    wrong = [
        name for name in wanted
        if name not in fitting and not name.endswith(COMPUTED)
    ]
    if wrong:
        raise SystemExit(
            f'{args.weights} does not fit {args.config}: {len(wrong)} of '
            f'{len(wanted)} tensors are missing or have another shape, '
            f'{wrong[0]} for example.')
    state = {**wanted, **fitting}
    save_checkpoint(
        dict(
            state_dict=state,
            meta=dict(source=f'{args.weights} ({args.source})')),
        args.out,
        backend_args=dict(backend=ATOMIC_LOCAL))
    print(f'Wrote {len(state)} tensors to {args.out}, for tools/train.py '
          f'{args.config} --init.')
    if left:
        print(f'Left behind: {len(left)} tensors, such as {left[0]}.')


if __name__ == '__main__':
    main()
