"""Mask-JEPA of a Mask2Former with Swin-B, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/swin-b.py']
model = _base_.swin_b.model
optim_wrapper = _base_.swin_b.optim_wrapper
