"""Mask-JEPA of a Mask2Former with ConvNeXt-T of timm, on images of COCO."""
_base_ = ['./mask_jepa_r50_coco.py', './_base_/backbones/convnext-t-timm.py']
custom_imports = dict(
    imports=['mask_jepa', 'mask_jepa.models.timm_backbone'],
    allow_failed_imports=False)
model = _base_.convnext_t_timm.model
optim_wrapper = _base_.convnext_t_timm.optim_wrapper
