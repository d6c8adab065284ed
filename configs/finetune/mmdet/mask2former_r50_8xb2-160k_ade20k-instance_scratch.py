"""The same from random weights, with batch norm that learns, not a frozen one."""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-instance.py'
model = dict(
    init_cfg=None,
    backbone=dict(
        norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False))
