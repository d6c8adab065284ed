"""Mask-JEPA of a Mask2Former with Swin-S, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/swin-s.py']
model = dict(
    backbone=dict(init_cfg=_base_.swin_s_in1k, **_base_.swin_s),
    panoptic_head=dict(in_channels=_base_.swin_s_channels))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.swin_s_custom_keys))
