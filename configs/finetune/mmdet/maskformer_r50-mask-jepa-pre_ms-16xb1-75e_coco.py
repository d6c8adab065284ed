"""Stock COCO panoptic MaskFormer, started from Mask-JEPA."""
_base_ = 'mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py'
# At model level: mmdet's head ignores an init_cfg of its own in silence.
model = dict(
    init_cfg=dict(
        _delete_=True,
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_r50_coco_maskformer/'
        'mask_jepa_mmdet.pth'),
    backbone=dict(init_cfg=None))
