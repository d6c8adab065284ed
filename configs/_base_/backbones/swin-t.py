"""Swin-T, as in the stock config: layer norm, all trained."""
from mmengine import Config

stock = Config.fromstring(
    "_base_ = 'mmdet::mask2former/mask2former_"
    "swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py'", '.py')
swin_t = dict(
    model=dict(
        backbone=dict(stock.model.backbone, _delete_=True),
        panoptic_head=dict(
            in_channels=stock.model.panoptic_head.in_channels,
            num_queries=stock.model.panoptic_head.num_queries)),
    optim_wrapper=dict(paramwise_cfg=stock.optim_wrapper.paramwise_cfg))
del Config, stock
