"""Mask-JEPA of a Mask2Former with ConvNeXt-T, on the images of Cityscapes."""
_base_ = ['./mask_jepa_r50_cityscapes.py', './_base_/backbones/convnext-t.py']
model = _base_.convnext_t.model
optim_wrapper = _base_.convnext_t.optim_wrapper
