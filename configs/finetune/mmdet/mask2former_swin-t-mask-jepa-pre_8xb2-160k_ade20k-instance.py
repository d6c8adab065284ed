"""ADE20K instance Mask2Former with Swin-T, started from Mask-JEPA."""
_base_ = [
    './mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-instance.py',
    '../../_base_/backbones/swin-t.py'
]
model = dict(
    init_cfg=dict(
        checkpoint='work_dirs/mask_jepa_swin-t_coco/mask_jepa_mmdet.pth'),
    backbone=dict(_base_.swin_t.model.backbone, init_cfg=None),
    panoptic_head=_base_.swin_t.model.panoptic_head)
optim_wrapper = _base_.swin_t.optim_wrapper
