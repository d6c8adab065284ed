"""Mask-JEPA of a Mask2Former with ResNet-50, on the images of Cityscapes."""
_base_ = './mask_jepa_r50_coco.py'

data_root = 'data/cityscapes/leftImg8bit'
max_iters = 37200  # 800 passes over 2,975 images at a batch of 64
warmup_iters = 1500

# Crops of a 2048x1024 image that show things as large as fine-tuning does.
train_dataloader = dict(
    dataset=dict(
        data_root=f'{data_root}/train',
        pipeline=[
            dict(type='LoadUnlabeledImage'),
            dict(
                type='mmpretrain.RandomResizedCrop',
                scale=_base_.crop_size,
                crop_ratio_range=(0.05, 0.5)),
            dict(type='RandomFlip', prob=0.5),
            dict(
                type='PackDetInputs',
                meta_keys=('img_path', 'ori_shape', 'img_shape'))
        ]))
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
