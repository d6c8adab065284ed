from typing import List

from .name_table import Row, row

STAGES = range(4)


def huggingface_resnet(prefix: str) -> List[Row]:
    """Name a ResNet as transformers does.

    Args:
        prefix (str): Of the backbone's names.

    Returns:
        list[Row]: The table.
    """
    rows = [
        row('backbone.conv1.weight',
            f'{prefix}embedder.embedder.convolution.weight'),
        row('backbone.bn1.*', f'{prefix}embedder.embedder.normalization.*'),
    ]
    for stage in STAGES:
        ours = f'backbone.layer{stage + 1}.*.'
        theirs = f'{prefix}encoder.stages.{stage}.layers.*.'
        for conv in (1, 2, 3):
            layer = f'{theirs}layer.{conv - 1}.'
            rows += [
                row(f'{ours}conv{conv}.weight', f'{layer}convolution.weight'),
                row(f'{ours}bn{conv}.*', f'{layer}normalization.*'),
            ]
        rows += [
            row(f'{ours}downsample.0.weight',
                f'{theirs}shortcut.convolution.weight'),
            row(f'{ours}downsample.1.*', f'{theirs}shortcut.normalization.*'),
        ]
    return rows


def detectron2_resnet() -> List[Row]:
    """Name a ResNet as detectron2 does.

    Returns:
        list[Row]: The table.
    """
    rows = [
        # Its frozen batch norm counts no batches.
        row('backbone.bn1.num_batches_tracked'),
        row('backbone.layer*.*.*.num_batches_tracked'),
        row('backbone.layer*.*.downsample.1.num_batches_tracked'),
        row('backbone.conv1.weight', 'backbone.stem.conv1.weight'),
        row('backbone.bn1.*', 'backbone.stem.conv1.norm.*'),
    ]
    for stage in STAGES:
        ours = f'backbone.layer{stage + 1}.*.'
        theirs = f'backbone.res{stage + 2}.*.'
        for conv in (1, 2, 3):
            rows += [
                row(f'{ours}conv{conv}.weight', f'{theirs}conv{conv}.weight'),
                row(f'{ours}bn{conv}.*', f'{theirs}conv{conv}.norm.*'),
            ]
        rows += [
            row(f'{ours}downsample.0.weight', f'{theirs}shortcut.weight'),
            row(f'{ours}downsample.1.*', f'{theirs}shortcut.norm.*'),
        ]
    return rows


def torchvision_resnet() -> List[Row]:
    """Name a ResNet as torchvision and timm do: as mmdet does.

    Returns:
        list[Row]: The table.
    """
    return [
        row('backbone.conv1.weight', 'conv1.weight'),
        row('backbone.bn1.*', 'bn1.*'),
        row('backbone.layer*.*.*.*', 'layer*.*.*.*'),
        row('backbone.layer*.*.downsample.*.*', 'layer*.*.downsample.*.*'),
    ]
