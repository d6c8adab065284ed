"""Cityscapes instance Mask2Former with ConvNeXt-T, started from Mask-JEPA."""
_base_ = [
    './mask2former_r50-mask-jepa-pre_8xb2-90k_cityscapes-instance.py',
    '../../_base_/backbones/convnext-t.py'
]
model = dict(
    init_cfg=dict(
        checkpoint='work_dirs/mask_jepa_convnext-t_coco/mask_jepa_mmdet.pth'),
    backbone=_base_.convnext_t.backbone,
    panoptic_head=_base_.convnext_t.model.panoptic_head)
optim_wrapper = _base_.convnext_t.optim_wrapper
