"""The same with only the backbone pretrained, on ImageNet-1k with labels."""
_base_ = './mask2former_convnext-t-mask-jepa-pre_8xb2-160k_ade20k-instance.py'
model = dict(
    init_cfg=None,
    backbone=dict(init_cfg=_base_.convnext_t_in1k))
