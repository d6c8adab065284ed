"""Nuclei in crops of 128 pixels at native scale, at CPU size."""
_base_ = [
    './mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_small-coco-person.py',
    '../../_base_/backbones/efficientnet-lite0.py'
]

data_root = '{{$MASK_JEPA_DATA:../shared/data}}/nuclei/'
# Made by tools/dataset_converters/tile_coco.py with --size 128, since an image
# has more nuclei than the network has queries.
tiles_root = 'work_dirs/experiments/data/nuclei_val_128/'
crop_size = (128, 128)
metainfo = dict(classes=('nucleus', ), palette=[(220, 20, 60)])
custom_imports = _base_.efficientnet_lite0.custom_imports

model = dict(
    init_cfg=dict(
        checkpoint='work_dirs/mask_jepa_efficientnet-lite0_tiny_nuclei/'
        'mask_jepa_mmdet.pth'),
    data_preprocessor=dict(
        batch_augments=[
            dict(
                type='BatchFixedSizePad',
                size=crop_size,
                img_pad_value=0,
                pad_mask=True,
                mask_pad_value=0,
                pad_seg=False)
        ],
        **_base_.efficientnet_lite0.model.data_preprocessor),
    backbone=dict(_base_.efficientnet_lite0.model.backbone, init_cfg=None),
    panoptic_head=_base_.efficientnet_lite0.model.panoptic_head)

train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomCrop',
        crop_size=crop_size,
        crop_type='absolute',
        recompute_bbox=True,
        allow_negative_crop=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_mask=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        metainfo=metainfo,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root=tiles_root,
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=tiles_root + 'annotations.json', metric='segm')
test_evaluator = val_evaluator

optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
train_cfg = dict(max_iters=2000, val_interval=2000)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=2000))
log_processor = dict(window_size=20)
