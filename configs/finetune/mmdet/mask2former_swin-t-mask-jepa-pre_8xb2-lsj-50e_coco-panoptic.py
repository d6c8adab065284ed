"""Stock COCO panoptic Mask2Former with Swin-T, started from Mask-JEPA."""
_base_ = 'mmdet::mask2former/' \
    'mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py'
# At model level: mmdet's head ignores an init_cfg of its own in silence.
model = dict(
    init_cfg=dict(
        _delete_=True,
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_swin-t_coco/mask_jepa_mmdet.pth'),
    backbone=dict(init_cfg=None))
