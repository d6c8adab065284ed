"""The same with only the backbone pretrained, on ImageNet-1k with labels."""
_base_ = './mask2former_convnext-t-mask-jepa-pre_8xb2-lsj-50e_coco-panoptic.py'
model = dict(
    init_cfg=None,
    backbone=dict(init_cfg=_base_.convnext_t_in1k))
