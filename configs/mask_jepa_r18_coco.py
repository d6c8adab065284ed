"""Mask-JEPA of a Mask2Former with ResNet-18, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/r18.py']
model = _base_.r18.model
