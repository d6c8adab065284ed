from .huggingface import huggingface_table, write_huggingface
from .name_table import Written, rename_to_ours, rename_to_theirs
from .state_dict_files import (detectron2_table, write_detectron2, write_timm,
                               write_torchvision)

# What writes the weights, named as in mmdet, of the `model` of a pretraining's
# config for a framework, and the ending of its file; none where it is a
# folder.
FRAMEWORKS = dict(
    huggingface=(write_huggingface, ''),
    detectron2=(write_detectron2, '.pth'),
    timm=(write_timm, '.pth'),
    torchvision=(write_torchvision, '.pth'))

# Of which there are backbones, and no mask classifiers.
BACKBONE_ALONE = ('timm', 'torchvision')

__all__ = [
    'BACKBONE_ALONE', 'FRAMEWORKS', 'Written', 'detectron2_table',
    'huggingface_table', 'rename_to_ours', 'rename_to_theirs',
    'write_detectron2', 'write_huggingface', 'write_timm', 'write_torchvision'
]
