"""The same with only the backbone pretrained, on ImageNet-1k with labels."""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-512x512_1-16.py'
model = dict(
    init_cfg=None,
    backbone=dict(
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='torchvision://resnet50')))
