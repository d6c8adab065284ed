"""ADE20K Mask2Former with DINOv2's ViT-S, started from Mask-JEPA."""
_base_ = [
    './mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-512x512.py',
    '../../_base_/backbones/dinov2-vit-s.py'
]
model = dict(
    init_cfg=dict(
        checkpoint='work_dirs/mask_jepa_dinov2-vit-s_coco/mask_jepa_mmseg.pth'
    ),
    backbone=_base_.dinov2_vit_s.backbone,
    neck=_base_.dinov2_vit_s.model.neck,
    decode_head=_base_.dinov2_vit_s.model.panoptic_head)
custom_keys = _base_.dinov2_vit_s.optim_wrapper.paramwise_cfg.custom_keys
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=custom_keys))
del custom_keys
