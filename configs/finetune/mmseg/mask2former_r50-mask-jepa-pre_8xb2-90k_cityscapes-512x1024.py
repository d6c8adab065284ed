"""Stock Cityscapes Mask2Former, started from Mask-JEPA."""
_base_ = 'mmseg::mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py'
# At model level: the head ignores an init_cfg of its own in silence.
model = dict(
    init_cfg=dict(
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_r50_coco/mask_jepa_mmseg.pth'),
    backbone=dict(init_cfg=None))
