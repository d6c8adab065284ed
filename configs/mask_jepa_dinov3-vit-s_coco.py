"""Mask-JEPA of a Mask2Former with DINOv3's ViT-S, on the images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/dinov3-vit-s.py']
custom_imports = dict(
    imports=['mask_jepa', 'mask_jepa.models.timm_backbone'],
    allow_failed_imports=False)
model = _base_.dinov3_vit_s.model
optim_wrapper = _base_.dinov3_vit_s.optim_wrapper
