"""ADE20K panoptic Mask2Former with Swin-T, started from Mask-JEPA."""
_base_ = [
    './mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-panoptic.py',
    '../../_base_/backbones/swin-t.py'
]
model = dict(
    init_cfg=dict(
        checkpoint='work_dirs/mask_jepa_swin-t_coco/mask_jepa_mmdet.pth'),
    backbone=dict(init_cfg=None, **_base_.swin_t),
    panoptic_head=dict(in_channels=_base_.swin_t_channels))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.swin_t_custom_keys))
