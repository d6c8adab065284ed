"""Stock ADE20K MaskFormer, started from Mask-JEPA."""
_base_ = 'mmseg::maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py'
# At model level: the head ignores an init_cfg of its own in silence.
model = dict(
    init_cfg=dict(
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_r50_ade20k_maskformer/'
        'mask_jepa_mmseg.pth'),
    backbone=dict(init_cfg=None))
