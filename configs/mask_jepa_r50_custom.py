"""Mask-JEPA of a Mask2Former with ResNet-50, on images of your own.

Four lines to change: where the images are, and how long to train. A folder is
searched recursively; a .txt list of paths, or a list of both, serves as well.
"""
_base_ = './mask_jepa_r50_coco.py'

train_images = 'data/my_images/train'
test_images = 'data/my_images/val'  # some that are held out, for the pictures
max_iters = 92500  # 5.9 million images at a batch of 64
warmup_iters = 1500

train_dataloader = dict(dataset=dict(data_root=train_images))
test_dataloader = dict(dataset=dict(data_root=test_images))

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
