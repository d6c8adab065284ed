"""ADE20K instance Mask2Former with ResNet-50, started from Mask-JEPA.

mmdet has the data set, and no Mask2Former for it: size and length are those
of Mask2Former's paper, as are those of the configs that inherit from here.
"""
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'

data_root = 'data/ADEChallengeData2016/'
image_size = (640, 640)
num_things_classes = 100

model = dict(
    # At model level: mmdet's head ignores an init_cfg of its own in silence.
    init_cfg=dict(
        _delete_=True,
        type='Pretrained',
        checkpoint='work_dirs/mask_jepa_r50_coco/mask_jepa_mmdet.pth'),
    data_preprocessor=dict(batch_augments=[
        dict(
            type='BatchFixedSizePad',
            size=image_size,
            img_pad_value=0,
            pad_mask=True,
            mask_pad_value=0,
            pad_seg=False)
    ]),
    backbone=dict(init_cfg=None),
    panoptic_head=dict(
        num_things_classes=num_things_classes,
        loss_cls=dict(class_weight=[1.0] * num_things_classes + [0.1])),
    panoptic_fusion_head=dict(num_things_classes=num_things_classes))

train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=(2560, 640),
        ratio_range=(0.5, 2.0),
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
    dict(type='Resize', scale=(2560, 640), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ADE20KInstanceDataset',
        data_root=data_root,
        ann_file='ade20k_instance_train.json',
        data_prefix=dict(img='images/training/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ADE20KInstanceDataset',
        data_root=data_root,
        ann_file='ade20k_instance_val.json',
        data_prefix=dict(img='images/validation/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'ade20k_instance_val.json')
test_evaluator = val_evaluator

param_scheduler = dict(_delete_=True, type='PolyLR', power=0.9, by_epoch=False)
train_cfg = dict(max_iters=160000, val_interval=5000, dynamic_intervals=None)
