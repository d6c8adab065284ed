from functools import partial
from typing import Dict

from mmengine.config import ConfigDict
from mmengine.runner import save_checkpoint
from torch import Tensor

from ...utils import ATOMIC_LOCAL
from .backbone_names import backbone_table
from .renaming import Written, rename_to_theirs


def write_backbone(framework: str, weights: Dict[str, Tensor],
                   model: ConfigDict, path: str) -> Written:
    """Write the backbone as a state dict of timm or torchvision.

    Args:
        framework (str): 'timm' or 'torchvision'.
        weights (dict[str, Tensor]): Named as in mmdet; what is not the
            backbone's is left out.
        model (ConfigDict): The ``model`` of the pretraining's config.
        path (str): Where to.

    Returns:
        Written: What is in the file, and what is not.

    Raises:
        ValueError: If the framework has no such backbone.
    """
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
