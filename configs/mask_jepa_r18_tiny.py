"""The same method at CPU size, from random weights; quickstart and tests."""
_base_ = [
    './mask_jepa_r50_coco.py', './_base_/r18_tiny_network.py',
    './_base_/camvid_probe.py'
]

data_root = '{{$MASK_JEPA_DATA:../shared/data}}'
num_prototypes = 16

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
    prediction_stride=8)

train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        crop_size=128,
        data_root=[
            f'{data_root}/camvid/img_dir/train',
            f'{data_root}/coco128/train2017'
        ]))
test_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=[
        f'{data_root}/camvid/img_dir/val', f'{data_root}/coco128/val2017'
    ]))

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
param_scheduler = list(_base_.param_scheduler)
param_scheduler[0] = dict(param_scheduler[0], end=40)
train_cfg = dict(max_iters=400, val_interval=200)
default_hooks = dict(
    health=dict(interval=40),
    monitoring_cost=dict(interval=40),
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
