from collections import OrderedDict
from functools import partial
from typing import Dict, List

from mmengine.config import ConfigDict
from mmengine.runner import save_checkpoint
from torch import Tensor

from ...utils import ATOMIC_LOCAL
from .backbone_names import backbone_table, require_rgb
from .head_names import MASK2FORMER
from .name_table import Row, Written, rename_to_theirs

# Modules of Mask2Former's own code whose names have changed once. Without a
# version they would take these names for the old ones.
VERSIONED = ('sem_seg_head', 'sem_seg_head.predictor')


def detectron2_table(model: ConfigDict) -> List[Row]:
    """Choose the names of a pretraining's model in Mask2Former's own code.

    Raises:
        ValueError: If that code has no such model.
    """
    head = model.panoptic_head.type.split('.')[-1]
    if head != 'Mask2FormerHead' or model.get('neck'):
        raise ValueError(
            'For detectron2 there is the code of Mask2Former alone, without a '
            f'neck: a {head} cannot be converted.')
    return [
        *backbone_table('detectron2', model.backbone.type),
        *MASK2FORMER['detectron2']
    ]


def write_detectron2(weights: Dict[str, Tensor], model: ConfigDict,
                     path: str) -> Written:
    """Write a file that detectron2's checkpointer loads.

    It holds tensors and plain types only. The class predictor is not in it.

    Raises:
        ValueError: If Mask2Former's own code has no such model.
    """
    written = rename_to_theirs(weights, detectron2_table(model))
    renamed = OrderedDict(written.weights)
    renamed._metadata = OrderedDict.fromkeys(VERSIONED, dict(version=2))
    save_checkpoint(
        dict(model=renamed), path, backend_args=dict(backend=ATOMIC_LOCAL))
    return written


def write_backbone(framework: str, weights: Dict[str, Tensor],
                   model: ConfigDict, path: str) -> Written:
    """Write the backbone of the weights for timm or torchvision.

    Raises:
        ValueError: If the framework has no such backbone.
    """
    require_rgb(model)
    if model.backbone.get('style', 'pytorch') != 'pytorch':
        raise ValueError(f'{framework} has no ResNet with '
                         f'style={model.backbone.style!r}, whose strides lie '
                         'elsewhere: the weights would be those of another '
                         'network.')
    backbone = {
        name: value
        for name, value in weights.items() if name.startswith('backbone.')
    }
    written = rename_to_theirs(backbone,
                               backbone_table(framework, model.backbone.type))
    written.without_place.update(f'{name.split(".")[0]}.*' for name in weights
                                 if name not in backbone)
    save_checkpoint(
        written.weights, path, backend_args=dict(backend=ATOMIC_LOCAL))
    return written


write_timm = partial(write_backbone, 'timm')
write_torchvision = partial(write_backbone, 'torchvision')
