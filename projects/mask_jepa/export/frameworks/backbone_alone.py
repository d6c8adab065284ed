from functools import partial
from typing import Dict

from mmengine.config import ConfigDict
from mmengine.runner import save_checkpoint
from torch import Tensor

from ...utils import ATOMIC_LOCAL
from .backbone_names import backbone_table
from .name_table import rename_to_theirs


def write_backbone(framework: str, weights: Dict[str, Tensor],
                   model: ConfigDict, path: str) -> None:
    """Write the backbone as a state dict of timm or torchvision.

    Args:
        framework (str): 'timm' or 'torchvision'.
        weights (dict[str, Tensor]): Named as in mmdet; what is not the
            backbone's is left out.
        model (ConfigDict): The ``model`` of the pretraining's config.
        path (str): Where to.

    Raises:
        ValueError: If the framework has no such backbone.
    """
    table = backbone_table(framework, model.backbone.type)
    backbone = {
        name: value
        for name, value in weights.items() if name.startswith('backbone.')
    }
    save_checkpoint(
        rename_to_theirs(backbone, table),
        path,
        backend_args=dict(backend=ATOMIC_LOCAL))


write_timm = partial(write_backbone, 'timm')
write_torchvision = partial(write_backbone, 'torchvision')
