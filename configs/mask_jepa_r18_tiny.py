"""The same method at CPU size, from random weights; quickstart and tests."""
_base_ = [
    './mask_jepa_r50_coco.py', './_base_/r18_tiny_network.py',
    './_base_/camvid_probe.py'
]

data_root = '{{$MASK_JEPA_DATA:../shared/data}}'
crop_size = 128
num_prototypes = 16
max_iters = 400
warmup_iters = 40

model = dict(
    backbone=_base_.r18_tiny_backbone,
    panoptic_head=dict(
        num_things_classes=num_prototypes,
        num_stuff_classes=0,
        loss_cls=dict(class_weight=[1.0] * num_prototypes + [0.1]),
        train_cfg=dict(num_points=256),
        **_base_.r18_tiny_head),
    # 128 pixels are only 4x4 cells, so a block is one cell.
    masking=dict(block_size=1),
    prediction_stride=8,
    centering=dict(size=crop_size // 8))

train_pipeline = [
    dict(type='LoadUnlabeledImage'),
    dict(
        type='mmpretrain.RandomResizedCrop',
        scale=crop_size,
        crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='PackDetInputs', meta_keys=('img_path', 'ori_shape', 'img_shape'))
]
test_pipeline = [
    dict(type='LoadUnlabeledImage'),
    dict(type='mmpretrain.ResizeEdge', scale=crop_size, edge='short'),
    dict(type='mmpretrain.CenterCrop', crop_size=crop_size),
    dict(
        type='PackDetInputs', meta_keys=('img_path', 'ori_shape', 'img_shape'))
]
train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=[
            f'{data_root}/camvid/img_dir/train',
            f'{data_root}/coco128/train2017'
        ],
        pipeline=train_pipeline))
test_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=[
            f'{data_root}/camvid/img_dir/val', f'{data_root}/coco128/val2017'
        ],
        pipeline=test_pipeline))

# A segmentation probe on some labelled images of CamVid.
val_dataloader = dict(_delete_=True, **_base_.camvid_probe_dataloader)
val_evaluator = dict(_delete_=True, **_base_.camvid_probe_evaluator)
val_cfg = dict(
    _delete_=True,
    type='SegmentationProbe',
    train_dataset=_base_.camvid_probe_train_dataset,
    max_images=32,
    num_neighbor_places=2000)

# Nothing is pretrained here, so the backbone learns as fast as the rest.
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=1.0))))
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
train_cfg = dict(max_iters=max_iters, val_interval=200)
custom_hooks = [
    dict(hook, interval=40) if 'interval' in hook else hook
    for hook in _base_.custom_hooks
]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(
        interval=100, max_keep_ckpts=2, save_best='probe/linear_mIoU'),
    visualization=dict(interval=200))
visualizer = dict(vis_backends=[
    dict(type='LocalVisBackend'),
    dict(type='TensorboardVisBackend')
])
auto_scale_lr = dict(base_batch_size=8)
log_processor = dict(window_size=20)
