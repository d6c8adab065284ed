"""Stock Mask2Former for video instances, started from Mask-JEPA's images.

The file is written by
python tools/export_pretrained.py CHECKPOINT --to mmdet-vis \
    --out work_dirs/mask_jepa_r50_coco/mask_jepa_mmdet-vis.pth
"""
_base_ = 'mmdet::mask2former_vis/mask2former_r50_8xb2-8e_youtubevis2021.py'
# Stock starts from a Mask2Former that was trained with the labels of COCO.
model = dict(
    init_cfg=dict(
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_r50_coco/mask_jepa_mmdet-vis.pth'),
    backbone=dict(init_cfg=None))
