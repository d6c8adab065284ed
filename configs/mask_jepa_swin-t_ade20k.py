"""Mask-JEPA of a Mask2Former with Swin-T, on the images of ADE20K."""
_base_ = ['./mask_jepa_r50_ade20k.py', './_base_/backbones/swin-t.py']
model = _base_.swin_t.model
optim_wrapper = _base_.swin_t.optim_wrapper
