"""Mask-JEPA: label-free pretraining of mask classification architectures.

Importing this package registers everything that a config can name; use it as
``custom_imports = dict(imports=['mask_jepa'])``. In Python::

    import mask_jepa
    checkpoint = mask_jepa.pretrain('r50', data='images/', out='run/')
    for image in mask_jepa.encode(checkpoint, 'images/'):
        print(image.path, image.mask_features.shape, len(image.masks))
    mask_jepa.export(checkpoint, to='mmseg')
"""
try:
    from . import datasets, engine, evaluation, hooks, losses, models
    from .apis import encode, export, pretrain
except ModuleNotFoundError as error:
    if error.name not in ('mmengine', 'mmcv', 'mmdet'):
        raise
    raise ImportError(
        f'Mask-JEPA needs OpenMMLab, of which {error.name} is not installed: '
        "pip install 'mask-jepa[openmmlab]', or 'mask-jepa[onedl]' for its "
        'maintained forks with numpy 2.') from None
from .version import __version__

__all__ = [
    'datasets', 'encode', 'engine', 'evaluation', 'export', 'hooks', 'losses',
    'models', 'pretrain', '__version__'
]
