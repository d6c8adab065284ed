"""The same with no pretraining at all, and with batch norm that learns.

The frozen batch norm of the stock backbone is made for ImageNet's weights: on
random ones it would hold its residual branches at zero.
"""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-90k_cityscapes-512x1024.py'
model = dict(
    init_cfg=None,
    backbone=dict(
        norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False))
