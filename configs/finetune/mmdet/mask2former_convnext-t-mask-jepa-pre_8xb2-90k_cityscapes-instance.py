"""Cityscapes instance Mask2Former with ConvNeXt-T, started from Mask-JEPA."""
_base_ = [
    './mask2former_r50-mask-jepa-pre_8xb2-90k_cityscapes-instance.py',
    '../../_base_/backbones/convnext-t.py'
]
custom_imports = dict(
    imports=['mmpretrain.models'], allow_failed_imports=False)
model = dict(
    init_cfg=dict(
        checkpoint='work_dirs/mask_jepa_convnext-t_coco/mask_jepa_mmdet.pth'),
    backbone=_base_.convnext_t,
    panoptic_head=dict(in_channels=_base_.convnext_t_channels))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=_base_.convnext_t_custom_keys))
