"""Instance segmentation at CPU size, on the small COCO set."""
_base_ = [
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    '../../_base_/r18_tiny_network.py'
]

data_root = '{{$MASK_JEPA_DATA:../shared/data}}/coco128/'
image_size = (192, 192)

model = dict(
    # At model level: mmdet's head ignores an init_cfg of its own in silence.
    init_cfg=dict(
        _delete_=True,
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_r18_tiny/mask_jepa_mmdet.pth'),
    data_preprocessor=dict(batch_augments=[
        dict(
            type='BatchFixedSizePad',
            size=image_size,
            img_pad_value=0,
            pad_mask=True,
            mask_pad_value=0,
            pad_seg=False)
    ]),
    backbone=_base_.r18_tiny_backbone,
    panoptic_head=_base_.r18_tiny_head,
    # The stock number of points is for images of 1024 pixels.
    train_cfg=dict(num_points=1024),
    test_cfg=dict(max_per_image=50))

train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=image_size,
        ratio_range=(0.8, 1.6),
        resize_type='Resize',
        keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_size=image_size,
        crop_type='absolute',
        recompute_bbox=True,
        allow_negative_crop=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_mask=True),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=1.0))))
param_scheduler = dict(_delete_=True, type='PolyLR', power=0.9, by_epoch=False)
train_cfg = dict(max_iters=160, val_interval=160, dynamic_intervals=None)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=160))
log_processor = dict(window_size=10)
randomness = dict(seed=0)
