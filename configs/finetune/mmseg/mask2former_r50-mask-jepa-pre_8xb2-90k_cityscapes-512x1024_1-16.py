"""Cityscapes Mask2Former with ResNet-50 from Mask-JEPA, 1/16 of the labels.

They are chosen by
python tools/dataset_converters/make_subset.py \\
    mmseg::_base_/datasets/cityscapes.py
which writes 1/2, 1/4 and 1/8 as well. A quarter of the stock length.
"""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-90k_cityscapes-512x1024.py'
train_dataloader = dict(dataset=dict(ann_file='splits/train_1-16.txt'))
param_scheduler = [
    dict(type='PolyLR', eta_min=0, power=0.9, begin=0, by_epoch=False)
]
train_cfg = dict(max_iters=22500)
