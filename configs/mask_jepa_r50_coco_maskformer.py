"""Mask-JEPA of a MaskFormer with ResNet-50, on the images of COCO.

The head is mmdet's, whose pixel decoder has a transformer encoder.
"""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/heads/maskformer.py']
model = dict(panoptic_head=_base_.maskformer_head)
