"""The same with no pretraining at all, and with batch norm that learns."""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-lsj-50e_coco_1-16.py'
# A frozen norm would hold the branches of random residual blocks at zero.
model = dict(
    init_cfg=None,
    backbone=dict(
        norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False))
