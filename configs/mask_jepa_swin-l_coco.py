"""Mask-JEPA of a Mask2Former with Swin-L, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/swin-l.py']
model = _base_.swin_l.model
optim_wrapper = _base_.swin_l.optim_wrapper
