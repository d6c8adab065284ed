"""Describe pretraining configs: size of the network and cost of an image.

A Markdown table. Parameters are those that are handed over; FLOPs are of one
forward pass of backbone, neck, pixel decoder and transformer decoder, for one
crop of the config's size, as mmengine counts them (multiply-adds; the
sampling of deformable attention is not counted).
"""
import argparse
import logging
import os.path as osp
import sys

# `projects` is found beside this folder, also without an installation.
sys.path.insert(
    0, osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__)))))

import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from projects.mask_jepa.export import export_weights, load_pretraining_config


class HandedOver(nn.Module):
    """What a fine-tuning gets, run with the learned queries.

    Args:
        model (nn.Module): A MaskJEPA.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Predict masks.

        Args:
            image (Tensor): (B, 3, H, W).

        Returns:
            Tensor: Mask logits, (B, N, h, w).
        """
        adapter = self.model.adapter
        mask_features, memory = self.model.encode(image)
        queries = adapter.learned_queries.expand(len(image), -1, -1)
        return adapter.decode(memory, mask_features, queries)[2][-1]


def describe(name: str, config: Config) -> str:
    """Describe one config.

    Args:
        name (str): Of the config.
        config (Config): Of a pretraining.

    Returns:
        str: A row of the table.
    """
    init_default_scope(config.get('default_scope', 'mmdet'))
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model).eval()
    state = model.state_dict()
    state['random_queries.lowest_sigma'].zero_()
    names = export_weights(state, 'mmdet').state_dict
    parameters = sum(value.numel() for name, value in model.named_parameters()
                     if name in names)
    crop = config.crop_size
    with torch.no_grad():
        flops = get_model_complexity_info(
            HandedOver(model), (3, crop, crop), show_table=False,
            show_arch=False)['flops']
    return (f'| {name} | {parameters / 1e6:.1f} M | {crop} | '
            f'{flops / 1e9:.1f} G | {config.train_dataloader.batch_size} | '
            f'{config.max_iters} |')


def main() -> None:
    """Describe."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+')
    args = parser.parse_args()
    try:
        configs = [load_pretraining_config(path) for path in args.configs]
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error))
    logging.disable(logging.WARNING)  # Of operations that are not counted.
    print('| config | parameters | crop | FLOPs | images a GPU | iterations |')
    print('|---|---|---|---|---|---|')
    for path, config in zip(args.configs, configs):
        name = osp.splitext(osp.basename(path))[0]
        print(describe(name, config), flush=True)


if __name__ == '__main__':
    main()
