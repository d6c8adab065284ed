"""Mask-JEPA of a Mask2Former with a plain ViT-B, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/vit-b.py']
custom_imports = dict(
    imports=['projects.mask_jepa', 'mmpretrain.models', 'mmseg.models'],
    allow_failed_imports=False)
model = dict(
    backbone=dict(init_cfg=_base_.vit_b_in1k, **_base_.vit_b),
    neck=_base_.vit_b_neck,
    panoptic_head=dict(in_channels=_base_.vit_b_channels))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.vit_b_custom_keys))
