"""Mask-JEPA: label-free pretraining of mask classification architectures.

Importing this package registers everything that a config can name; use it as
``custom_imports = dict(imports=['projects.mask_jepa'])``.
"""
from . import datasets, engine, evaluation, hooks, losses, models
from .version import __version__

__all__ = [
    'datasets', 'engine', 'evaluation', 'hooks', 'losses', 'models',
    '__version__'
]
