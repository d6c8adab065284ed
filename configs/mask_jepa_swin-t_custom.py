"""Mask-JEPA of a Mask2Former with Swin-T, on images of your own.

The four lines to change are in mask_jepa_r50_custom.py.
"""
_base_ = ['./mask_jepa_r50_custom.py', './_base_/backbones/swin-t.py']
model = dict(
    backbone=dict(init_cfg=_base_.swin_t_in1k, **_base_.swin_t),
    panoptic_head=dict(in_channels=_base_.swin_t_channels))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.swin_t_custom_keys))
