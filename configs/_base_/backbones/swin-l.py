"""Swin-L of ImageNet-22k, as in the stock config: layer norm, all trained."""
from mmengine import Config

stock = Config.fromstring(
    "_base_ = 'mmdet::mask2former/mask2former_"
    "swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py'", '.py')
swin_l = dict(
    model=dict(
        backbone=dict(stock.model.backbone, _delete_=True),
        panoptic_head=dict(
            in_channels=stock.model.panoptic_head.in_channels,
            num_queries=stock.model.panoptic_head.num_queries)),
    optim_wrapper=dict(paramwise_cfg=stock.optim_wrapper.paramwise_cfg))
del Config, stock
