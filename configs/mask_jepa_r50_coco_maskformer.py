"""Mask-JEPA of a MaskFormer with ResNet-50, on the images of COCO.

The head is mmdet's, whose pixel decoder has a transformer encoder.
"""
from mmengine import Config

_base_ = './mask_jepa_r50_coco.py'
stock = Config.fromstring(
    "_base_ = 'mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py'",
    '.py').model
model = dict(
    panoptic_head=dict(
        stock.panoptic_head, _delete_=True, train_cfg=stock.train_cfg))
del Config, stock
