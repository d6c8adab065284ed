"""Mask-JEPA of a Mask2Former with a plain ViT-B, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/vit-b.py']
model = _base_.vit_b.model
optim_wrapper = _base_.vit_b.optim_wrapper
