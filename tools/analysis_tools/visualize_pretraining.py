"""Draw what a pretraining checkpoint sees and makes of held-out images."""
import os
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

from mmengine.registry import DATASETS, MODELS, init_default_scope
from PIL import Image

from mask_jepa.engine import resolve_config
from mask_jepa.models.step_random import first_step
from mask_jepa.utils import (CFG_OPTIONS, DATA, exit_on, load_config,
                             make_parser)
from mask_jepa.visualization import MAX_CLUSTERS, draw_pretraining, fixed_batch
from mask_jepa.weights import load_checkpoint


def main() -> None:
    """Draw."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='pretraining config file path')
    parser.add_argument('checkpoint', help='that tools/train.py wrote')
    parser.add_argument('--out', default='pretraining.png')
    parser.add_argument('--num-images', type=int, default=4)
    parser.add_argument('--num-clusters', type=int, default=8)
    parser.add_argument('--data', **DATA)
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    args = parser.parse_args()
    if args.num_images < 1:
        parser.error('--num-images must be at least 1.')
    if not 2 <= args.num_clusters <= MAX_CLUSTERS:
        parser.error(f'--num-clusters must lie in [2, {MAX_CLUSTERS}].')
    os.makedirs(osp.dirname(osp.abspath(args.out)), exist_ok=True)
    with exit_on(FileNotFoundError, ValueError):
        cfg = load_config(args.config, args.cfg_options, test=args.data)
        state_dict = load_checkpoint(args.checkpoint)['state_dict']
    resolve_config(cfg)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    try:
        model.load_state_dict(state_dict)
    except RuntimeError:
        raise SystemExit(
            f'{args.checkpoint} is no checkpoint of a pretraining with this '
            'config: give one that tools/train.py wrote.')
    try:
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'test_dataloader: {error}')
    # As in the training, so that the sheets can be compared.
    with first_step(model):
        samples = model.test_step(fixed_batch(dataset, args.num_images))
    preprocessor = model.data_preprocessor
    sheet, _ = draw_pretraining(samples, preprocessor.mean, preprocessor.std,
                                args.num_clusters)
    Image.fromarray(sheet).save(args.out)
    print(f'Drew {len(samples)} images to {args.out}.')


if __name__ == '__main__':
    main()
