"""Mask-JEPA of a Mask2Former with Swin-L, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/swin-l.py']
model = dict(
    backbone=dict(init_cfg=_base_.swin_l_in22k, **_base_.swin_l),
    panoptic_head=dict(in_channels=_base_.swin_l_channels, num_queries=200))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.swin_l_custom_keys))
