"""Mask-JEPA of a Mask2Former with ResNet-50, on the images of ImageNet-1k."""
_base_ = './mask_jepa_r50_coco.py'

train_dataloader = dict(dataset=dict(data_root='data/imagenet/train'))
test_dataloader = dict(dataset=dict(data_root='data/imagenet/val'))
param_scheduler = list(_base_.param_scheduler)
param_scheduler[0] = dict(param_scheduler[0], end=5000)
# 10 passes over 1,281,167 images at a batch of 64
train_cfg = dict(max_iters=200000)
