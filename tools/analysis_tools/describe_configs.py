"""Describe configs: size of the network and cost of an image.

A Markdown table. Parameters of a pretraining are those that are handed over,
of a fine-tuning all. FLOPs are of one forward pass of backbone, neck, pixel
decoder and transformer decoder, for one crop of a pretraining's ``crop_size``
or, where a config names none, 512x512 pixels, as mmengine counts them
(multiply-adds; the sampling of deformable attention is not counted).
"""
import argparse
import logging
import os.path as osp
import sys

# `projects` is found beside this folder, also without an installation.
sys.path.insert(
    0, osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__)))))

import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from projects.mask_jepa.export import export_weights
from projects.mask_jepa.models import MaskJEPA
from projects.mask_jepa.utils import load_model_config

DEFAULT_SIZE = 512


class MaskPredictor(nn.Module):
    """Backbone, neck and head of a model, as a module of an image.

    Args:
        model (nn.Module): A MaskJEPA, run with the learned queries, a
            detector of mmdet or a segmenter of mmseg.
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


def count_flops(network: nn.Module, size: int) -> str:
    """Count the multiply-adds of a square image.

    Args:
        network (nn.Module): Takes an image.
        size (int): Of its side, in pixels.

    Returns:
        str: With unit.
    """
    with torch.no_grad():
        flops = get_model_complexity_info(
            network, (3, size, size), show_table=False,
            show_arch=False)['flops']
    return f'{flops / 1e9:.1f} G'


def describe(name: str, config: Config) -> str:
    """Describe one config.

    Args:
        name (str): Of the config.
        config (Config): Of a pretraining, or of mmdet or mmseg.

    Returns:
        str: A row of the table.
    """
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
        size = config.get('crop_size', DEFAULT_SIZE)
        flops = count_flops(MaskPredictor(model), size)
    else:
        size = DEFAULT_SIZE
        flops = 'not counted'  # Of videos.
        if not hasattr(model, 'track_head'):
            flops = count_flops(MaskPredictor(model), size)
    parameters = sum(value.numel() for value in weights.values())
    length = config.train_cfg.get('max_iters')
    length = length or f'{config.train_cfg.max_epochs} epochs'
    return (f'| {name} | {parameters / 1e6:.1f} M | {size} | {flops} | '
            f'{config.train_dataloader.batch_size} | {length} |')


def main() -> None:
    """Describe."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+')
    args = parser.parse_args()
    try:
        configs = [load_model_config(path) for path in args.configs]
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error))
    logging.disable(logging.WARNING)  # Of operations that are not counted.
    print('| config | parameters | image | FLOPs | images a GPU | length |')
    print('|---|---|---|---|---|---|')
    for path, config in zip(args.configs, configs):
        name = osp.splitext(osp.basename(path))[0]
        print(describe(name, config), flush=True)


if __name__ == '__main__':
    main()
