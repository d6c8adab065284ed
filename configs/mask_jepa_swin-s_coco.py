"""Mask-JEPA of a Mask2Former with Swin-S, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/swin-s.py']
model = _base_.swin_s.model
optim_wrapper = _base_.swin_s.optim_wrapper
