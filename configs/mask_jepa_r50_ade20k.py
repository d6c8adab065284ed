"""Mask-JEPA of a Mask2Former with ResNet-50, on the images of ADE20K."""
_base_ = './mask_jepa_r50_coco.py'

data_root = 'data/ade/ADEChallengeData2016/images'
max_iters = 63200  # 200 passes over 20,210 images at a batch of 64
warmup_iters = 1500

train_dataloader = dict(dataset=dict(data_root=f'{data_root}/training'))
test_dataloader = dict(dataset=dict(data_root=f'{data_root}/validation'))

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
