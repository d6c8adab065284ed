from typing import List

from .convnext_names import timm_convnext, torchvision_convnext
from .name_table import Row
from .resnet_names import detectron2_resnet, torchvision_resnet
from .swin_names import detectron2_swin, timm_swin, torchvision_swin

# Tables by framework and by the backbone's type.
BACKBONES = dict(
    detectron2=dict(
        ResNet=detectron2_resnet, SwinTransformer=detectron2_swin),
    timm=dict(
        ResNet=torchvision_resnet,
        SwinTransformer=timm_swin,
        ConvNeXt=timm_convnext),
    torchvision=dict(
        ResNet=torchvision_resnet,
        SwinTransformer=torchvision_swin,
        ConvNeXt=torchvision_convnext))


def backbone_table(framework: str, backbone: str) -> List[Row]:
    """Choose the names of a backbone in another framework.

    Args:
        framework (str): One of :data:`BACKBONES`.
        backbone (str): Type in the config, with or without its library.

    Returns:
        list[Row]: The table.

    Raises:
        ValueError: If the framework has no such backbone.
    """
    tables = BACKBONES[framework]
    name = backbone.split('.')[-1]
    if name not in tables:
        raise ValueError(f'Weights of a {name} cannot be handed over to '
                         f'{framework}: of {", ".join(tables)} they can.')
    return tables[name]()
