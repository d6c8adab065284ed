"""Cityscapes instance Mask2Former with ResNet-50, started from Mask-JEPA.

mmdet has the data set, and no Mask2Former for it: size and length are those
of Mask2Former's paper.
"""
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'

data_root = 'data/cityscapes/'
width, height = 1024, 512
num_things_classes = 8
num_stuff_classes = 0

model = dict(
    # At model level: mmdet's head ignores an init_cfg of its own in silence.
    init_cfg=dict(
        _delete_=True,
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_r50_coco/mask_jepa_mmdet.pth'),
    data_preprocessor=dict(batch_augments=[
        dict(
            type='BatchFixedSizePad',
            size=(height, width),
            img_pad_value=0,
            pad_mask=True,
            mask_pad_value=0,
            pad_seg=False)
    ]),
    backbone=dict(init_cfg=None),
    panoptic_head=dict(
        num_things_classes=num_things_classes,
        num_stuff_classes=num_stuff_classes,
        loss_cls=dict(class_weight=[1.0] *
                      (num_things_classes + num_stuff_classes) + [0.1])),
    panoptic_fusion_head=dict(
        num_things_classes=num_things_classes,
        num_stuff_classes=num_stuff_classes))

train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=(2048, 1024),
        ratio_range=(0.5, 2.0),
        resize_type='Resize',
        keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_size=(width, height),
        crop_type='absolute',
        recompute_bbox=True,
        allow_negative_crop=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_mask=True),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CityscapesDataset',
        data_root=data_root,
        ann_file='annotations/instancesonly_filtered_gtFine_train.json',
        data_prefix=dict(img='leftImg8bit/train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CityscapesDataset',
        data_root=data_root,
        ann_file='annotations/instancesonly_filtered_gtFine_val.json',
        data_prefix=dict(img='leftImg8bit/val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root +
                     'annotations/instancesonly_filtered_gtFine_val.json')
test_evaluator = val_evaluator

max_iters = 90000
param_scheduler = dict(
    _delete_=True, type='PolyLR', power=0.9, end=max_iters, by_epoch=False)
train_cfg = dict(
    max_iters=max_iters, val_interval=5000, dynamic_intervals=None)
