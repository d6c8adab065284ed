"""Mask-JEPA: label-free pretraining of mask classification architectures.

Importing this package registers everything that a config can name; use it as
``custom_imports = dict(imports=['projects.mask_jepa'])``.
"""
from . import datasets, evaluation, hooks, losses, models, optimizers
from .version import __version__

__all__ = [
    'datasets', 'evaluation', 'hooks', 'losses', 'models', 'optimizers',
    '__version__'
]
