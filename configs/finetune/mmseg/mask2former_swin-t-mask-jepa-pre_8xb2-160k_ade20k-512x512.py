"""Stock ADE20K Mask2Former with Swin-T, started from Mask-JEPA."""
_base_ = 'mmseg::mask2former/' \
    'mask2former_swin-t_8xb2-160k_ade20k-512x512.py'
# At model level: the head ignores an init_cfg of its own in silence.
model = dict(
    init_cfg=dict(
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_swin-t_coco/mask_jepa_mmseg.pth'),
    backbone=dict(init_cfg=None))
