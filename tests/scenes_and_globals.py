"""What tests need in other processes as well."""
import logging

import numpy as np
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw


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
