"""Mask-JEPA of a MaskFormer with ResNet-50, on the images of ADE20K.

The head is mmseg's, with the plain pixel decoder.
"""
_base_ = ['./mask_jepa_r50_ade20k.py', './_base_/heads/mmseg-maskformer.py']
model = dict(panoptic_head=_base_.mmseg_maskformer_head)
