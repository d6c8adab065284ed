"""What tests need in other processes as well."""
import logging

import numpy as np
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw

# OpenMMLab's mmengine took it by name; onedl's asks yapf each time.
YAPF_USERS = ('mmengine.config.config', 'yapf.yapflib.yapf_api')
IMAGE_SIZE = 64  # pixels: a grid of 2x2 cells
CHANNELS = 32  # as many as the groups of the group norms
ATTENTION = dict(embed_dims=CHANNELS)
FFN = dict(embed_dims=CHANNELS, feedforward_channels=64)
TINY_OPTIONS = {
    'model.panoptic_head': dict(
        feat_channels=CHANNELS,
        out_channels=CHANNELS,
        num_queries=10,
        positional_encoding=dict(num_feats=CHANNELS // 2),
        pixel_decoder=dict(
            positional_encoding=dict(num_feats=CHANNELS // 2),
            encoder=dict(
                num_layers=1,
                layer_cfg=dict(self_attn_cfg=ATTENTION, ffn_cfg=FFN))),
        transformer_decoder=dict(
            num_layers=3,
            layer_cfg=dict(
                self_attn_cfg=ATTENTION,
                cross_attn_cfg=ATTENTION,
                ffn_cfg=FFN))),
    'train_dataloader.batch_size': 2,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'train_dataloader.dataset.crop_size': IMAGE_SIZE,
    'param_scheduler.0.end': 2,
    'default_hooks.logger.interval': 1,
    # Watching a training has tests of its own.
    'val_dataloader': None,
    'val_evaluator': None,
    'val_cfg': None,
    'default_hooks.checkpoint.save_best': None,
    'default_hooks.visualization': dict(
        _delete_=True, type='DetVisualizationHook'),
    'visualizer.vis_backends': [dict(type='LocalVisBackend')],
}


def numpy_state():
    """State of numpy's own generator, in a form that compares: key, position
    in it, and what is left of a pair of Gaussians."""
    name, key, *position = np.random.get_state()
    return name, key.tolist(), *position


def draw_scene(seed, size=(96, 80)):
    """Draw shapes, a gradient and noise, a little like a photograph."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 120, size[0])[None, :, None]
    noise = rng.normal(60, 12, (size[1], size[0], 3))
    scene = Image.fromarray((ramp + noise).clip(0, 255).astype(np.uint8))
    canvas = ImageDraw.Draw(scene)
    for draw in (canvas.rectangle, canvas.ellipse):
        left, top = rng.integers(0, 40, 2).tolist()
        colour = tuple(rng.integers(0, 256, 3).tolist())
        draw((left, top, left + 30, top + 24), fill=colour)
    return scene


def forget_globals():
    """Drop what MMEngine keeps for the whole process, and close its logs."""
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if isinstance(handler, logging.FileHandler):
                handler.close()
    for keeper in (MMLogger, MessageHub, DefaultScope, Visualizer,
                   *Visualizer.__subclasses__()):
        keeper._instance_dict.clear()
