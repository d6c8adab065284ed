"""Baseline: only the backbone of the tiny network, by mmpretrain's BYOL.

The method is mmpretrain's, by inheritance; what differs is its size, and the
optimiser. Run from the root of this repository with the train.py that comes
with mmpretrain, in .mim/tools of the installed package.

The last checkpoint goes into stock mmdet or mmseg as it is, by
model.init_cfg.checkpoint: its backbone has the names and shapes of
_base_/r18_tiny_network.py, and the rest finds no place there.

An iteration sees 32 images, and train_cfg.max_iters is their number; for other
images, any folder, set train_dataloader.dataset.data_prefix.
"""
_base_ = [
    'mmpretrain::byol/byol_resnet50_16xb256-coslr-200e_in1k.py',
    '../_base_/r18_tiny_network.py'
]
custom_imports = dict(imports=['mask_jepa'], allow_failed_imports=False)

data_root = '{{$MASK_JEPA_DATA:../shared/data}}'
crop_size = 128

model = dict(
    # The class that Mask-JEPA pretrains and mmdet fine-tunes; mmseg's has the
    # same names and shapes.
    backbone=dict(
        type='mmdet.ResNet',
        out_indices=(3, ),
        # As where nothing is pretrained, so that all arms start alike.
        zero_init_residual=True,
        **_base_.r18_tiny_backbone),
    # Twice as many hidden channels as input channels, as for ResNet-50.
    neck=dict(in_channels=256, hid_channels=512),
    head=dict(predictor=dict(hid_channels=512)))

# Size and share of the image as in mask_jepa_r18_tiny.py; all else is BYOL's.
crop = dict(scale=crop_size, crop_ratio_range=(0.2, 1.0))
view_pipeline1 = [
    dict(step, **crop) if step['type'] == 'RandomResizedCrop' else step
    for step in _base_.view_pipeline1
]
view_pipeline2 = [
    dict(step, **crop) if step['type'] == 'RandomResizedCrop' else step
    for step in _base_.view_pipeline2
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[view_pipeline1, view_pipeline2]),
    dict(type='PackInputs')
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    # Epochs of a small set would end in a smaller batch, and MMEngine sleeps
    # two seconds between them.
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    # MMEngine marks inherited settings with the library they came from, and
    # hands the mark to this function, which takes none.
    collate_fn=dict(_delete_=True, type='default_collate'),
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_prefix=f'{data_root}/camvid/img_dir/train',
        with_label=False,
        pipeline=train_pipeline))

# The optimiser and schedule of mask_jepa_r18_tiny.py, down to the decay of the
# backbone's norms. Not LARS, which is for batches of thousands: with one
# optimiser in all arms, a comparison is about the objective.
optimizer = dict(
    _delete_=True,
    type='AdamW',
    lr=1e-3,
    weight_decay=0.05,
    eps=1e-8,
    betas=(0.9, 0.999),
    fused=True)
optim_wrapper = dict(
    optimizer=dict(optimizer),
    paramwise_cfg=dict(
        _delete_=True,
        custom_keys=dict(backbone=dict(lr_mult=1.0, decay_mult=1.0)),
        norm_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0, norm_type=2, error_if_nonfinite=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=40, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, by_epoch=False)
]
# BYOL's own EMA anneals over the iterations of the loop, whichever its kind.
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=375)  # 12,000 images
auto_scale_lr = dict(base_batch_size=32)
randomness = dict(seed=0)

# Otherwise stock mmseg, on torch 2.6 and later, could not read the checkpoint.
custom_hooks = [dict(type='mmdet.PlainMessageHubHook')]
default_hooks = dict(
    logger=dict(interval=20),
    # Only the last one.
    checkpoint=dict(
        by_epoch=False, interval=-1, save_last=True, max_keep_ckpts=1))
log_processor = dict(by_epoch=False, window_size=20)
