from typing import List

from torch import Tensor

from .name_table import Row, row


def timm_convnext() -> List[Row]:
    """Name a ConvNeXt as timm does, without its last norm.

    Returns:
        list[Row]: The table.
    """
    ours, theirs = 'backbone.stages.*.*.', 'stages.*.blocks.*.'
    return [
        row('backbone.downsample_layers.0.*.*', 'stem.*.*'),
        row('backbone.downsample_layers.*.*.*', 'stages.*.downsample.*.*'),
        row(f'{ours}depthwise_conv.*', f'{theirs}conv_dw.*'),
        row(f'{ours}norm.*', f'{theirs}norm.*'),
        row(f'{ours}pointwise_conv1.*', f'{theirs}mlp.fc1.*'),
        row(f'{ours}pointwise_conv2.*', f'{theirs}mlp.fc2.*'),
        row(f'{ours}gamma', f'{theirs}gamma'),
        # Norms of the maps, which a classifier does not have.
        row('backbone.norm*.*'),
    ]


def torchvision_convnext() -> List[Row]:
    """Name a ConvNeXt as torchvision does, without its last norm.

    Returns:
        list[Row]: The table.
    """
    rows = [
        row(f'backbone.downsample_layers.{stage}.*.*',
            f'features.{2 * stage}.*.*') for stage in range(4)
    ]
    for stage in range(4):
        ours = f'backbone.stages.{stage}.*.'
        theirs = f'features.{2 * stage + 1}.*.'
        rows += [
            row(f'{ours}depthwise_conv.*', f'{theirs}block.0.*'),
            row(f'{ours}norm.*', f'{theirs}block.2.*'),
            row(f'{ours}pointwise_conv1.*', f'{theirs}block.3.*'),
            row(f'{ours}pointwise_conv2.*', f'{theirs}block.5.*'),
            Row(f'{ours}gamma', (f'{theirs}layer_scale', ), _over_places,
                Tensor.flatten),
        ]
    return [*rows, row('backbone.norm*.*')]


def _over_places(scale: Tensor) -> Tensor:
    return scale[:, None, None]
