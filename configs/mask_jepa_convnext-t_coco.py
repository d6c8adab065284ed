"""Mask-JEPA of a Mask2Former with ConvNeXt-T, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/convnext-t.py']
custom_imports = dict(
    imports=['projects.mask_jepa', 'mmpretrain.models'],
    allow_failed_imports=False)
model = dict(
    backbone=dict(init_cfg=_base_.convnext_t_in1k, **_base_.convnext_t),
    panoptic_head=dict(in_channels=_base_.convnext_t_channels))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=_base_.convnext_t_custom_keys))
