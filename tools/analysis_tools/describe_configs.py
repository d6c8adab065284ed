"""Describe configs: size of the network, cost of an image, batch and length.

A Markdown table, of all configs if none are given; ``--write`` puts it into a
page. Parameters of a pretraining are those that are exported, of a fine-tuning
all. FLOPs are of one forward pass of backbone, neck, pixel decoder and
transformer decoder, for one crop of a pretraining or else 512x512 pixels, as
mmengine counts them (multiply-adds; the sampling of deformable attention is
not counted). The batch is that of all GPUs together.
"""
import logging
import re
import sys
from pathlib import Path

# `mask_jepa` is found beside this folder, also without an installation.
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from mask_jepa.models import MaskJEPA
from mask_jepa.utils import exit_on, load_model_config, make_parser
from mask_jepa.weights import export_weights

DEFAULT_SIZE = 512  # pixels; only pretrainings have a crop_size
BEGIN, END = '<!-- configs: begin -->', '<!-- configs: end -->'
# Twins of a fine-tuning have its network.
DEFAULT_CONFIGS = ('*.py', 'finetune/mmdet/*-pre_*.py',
                   'finetune/mmseg/*-pre_*.py')
TABLE = re.compile(f'{BEGIN}.*?{END}', re.DOTALL)
HEADER = """\
| config | parameters | image | FLOPs | images a GPU | batch | length |
|---|---|---|---|---|---|---|"""


class MaskPredictor(nn.Module):
    """Backbone, neck and head of a model, as a module of an image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Predict mask logits (B, N, h, w) of images (B, 3, H, W)."""
        if isinstance(self.model, MaskJEPA):
            adapter = self.model.adapter
            mask_features, memory = self.model.encode(image)
            queries = adapter.learned_queries.expand(len(image), -1, -1)
            return adapter.decode(memory, mask_features, queries)[2][-1]
        head = getattr(self.model, 'panoptic_head', None)
        head = head or self.model.decode_head
        size = tuple(image.shape[-2:])
        sample = DetDataSample(
            metainfo=dict(img_shape=size, batch_input_shape=size))
        features = self.model.extract_feat(image)
        return head(features, [sample] * len(image))[1][-1]


def batch_size(name: str, config: Config) -> int:
    """Count the images of a step of the optimiser, over all GPUs."""
    images = config.train_dataloader.batch_size
    gpus = re.search(r'_(?:ms-)?(\d+)xb', name)
    if gpus:
        return int(gpus[1]) * images
    images = (config.get('auto_scale_lr') or {}).get('base_batch_size', images)
    return images * config.optim_wrapper.get('accumulative_counts', 1)


def length(config: Config) -> str:
    """Say how long a training lasts, with the unit."""
    units = dict(
        max_passes='passes', max_epochs='epochs', max_iters='iterations')
    return next(f'{config.train_cfg[key]} {unit}'
                for key, unit in units.items() if config.train_cfg.get(key))


@torch.no_grad()
def describe(name: str, config: Config) -> str:
    """Make the row of the table for one config."""
    init_default_scope(config.get('default_scope', 'mmdet'))
    config.model.init_cfg = None
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model).eval()
    weights = dict(model.named_parameters())
    if isinstance(model, MaskJEPA):
        state = model.state_dict()
        state['random_queries.lowest_sigma'].zero_()
        names = export_weights(state, 'mmdet').state_dict
        weights = {key: weights[key] for key in weights.keys() & names.keys()}
    size = config.train_dataloader.dataset.get('crop_size', DEFAULT_SIZE)
    flops = 'not counted'  # Of videos.
    if not hasattr(model, 'track_head'):
        count = get_model_complexity_info(
            MaskPredictor(model), (3, size, size),
            show_table=False,
            show_arch=False)
        flops = f'{count["flops"] / 1e9:.1f} G'
    parameters = sum(value.numel() for value in weights.values())
    return (f'| {name} | {parameters / 1e6:.1f} M | {size} | {flops} '
            f'| {config.train_dataloader.batch_size} '
            f'| {batch_size(name, config)} | {length(config)} |')


def main() -> None:
    """Describe."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'configs',
        nargs='*',
        default=[
            str(path) for pattern in DEFAULT_CONFIGS
            for path in sorted((ROOT / 'configs').glob(pattern))
        ],
        help='by default all')
    parser.add_argument(
        '--write',
        type=Path,
        metavar='PAGE',
        help=f'Markdown file; what is between {BEGIN} and {END} is replaced')
    args = parser.parse_args()
    with exit_on(FileNotFoundError, ValueError):
        configs = [load_model_config(path) for path in args.configs]
        page = args.write and args.write.read_text()
    if args.write and not TABLE.search(page):
        raise SystemExit(f'{args.write} says nowhere where the table goes: '
                         f'add the lines {BEGIN} and {END}.')
    logging.disable(logging.WARNING)  # Of operations that are not counted.
    rows = [HEADER]
    print(HEADER)
    for path, config in zip(args.configs, configs):
        rows.append(describe(Path(path).stem, config))
        print(rows[-1], flush=True)
    if args.write:
        table = '\n'.join([BEGIN, '', *rows, '', END])
        args.write.write_text(TABLE.sub(table, page))


if __name__ == '__main__':
    main()
