"""Mask-JEPA of a Mask2Former with ResNet-50, on the images of ImageNet-1k."""
_base_ = './mask_jepa_r50_coco.py'

data_root = 'data/imagenet'
max_iters = 200000  # 10 passes over 1,281,167 images at a batch of 64
warmup_iters = 5000

train_dataloader = dict(dataset=dict(data_root=f'{data_root}/train'))
test_dataloader = dict(dataset=dict(data_root=f'{data_root}/val'))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        begin=0,
        end=warmup_iters,
        by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=warmup_iters,
        end=max_iters,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters)
