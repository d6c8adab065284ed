"""Draw the batches of a pretraining as the model will see them."""
import os
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

from itertools import islice

import torch
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner, set_random_seed
from PIL import Image

from mask_jepa.engine import resolve_config
from mask_jepa.utils import (CFG_OPTIONS, DATA, exit_on, load_config,
                             make_parser)
from mask_jepa.visualization import draw_inputs


def main() -> None:
    """Draw, with the random numbers of one process on the CPU."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='pretraining config file path')
    parser.add_argument(
        '--output-dir', default='inputs', help='where the sheets go')
    parser.add_argument('--num-batches', type=int, default=2)
    parser.add_argument('--data', **DATA)
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    args = parser.parse_args()
    if args.num_batches < 1:
        parser.error('--num-batches must be at least 1.')
    with exit_on(FileNotFoundError, ValueError):
        cfg = load_config(args.config, args.cfg_options, train=args.data)
    resolve_config(cfg)
    init_default_scope(cfg.default_scope)
    seed = set_random_seed(cfg.get('randomness', {}).get('seed'))
    cfg.model.backbone.init_cfg = None  # Nothing is computed, so no weights.
    model = MODELS.build(cfg.model)
    preprocessor = model.data_preprocessor
    with exit_on(FileNotFoundError, ValueError):
        dataloader = Runner.build_dataloader(cfg.train_dataloader, seed=seed)
    os.makedirs(args.output_dir, exist_ok=True)
    for number, batch in enumerate(islice(dataloader, args.num_batches), 1):
        batch = preprocessor(batch, training=True)
        images = batch['inputs']
        _, hidden, noisy_images = model.corrupt(
            images, model.random(torch.device('cpu')))
        titles = [
            osp.basename(sample.img_path) for sample in batch['data_samples']
        ]
        path = osp.join(args.output_dir, f'batch_{number}.png')
        sheet = draw_inputs(images, hidden, noisy_images, preprocessor.mean,
                            preprocessor.std, titles)
        Image.fromarray(sheet).save(path)
        print(f'Drew {len(images)} images to {path}.')


if __name__ == '__main__':
    main()
