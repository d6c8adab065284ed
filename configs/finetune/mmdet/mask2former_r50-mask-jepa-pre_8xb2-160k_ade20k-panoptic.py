"""ADE20K panoptic Mask2Former with ResNet-50, started from Mask-JEPA.

Panoptic quality needs panopticapi.
"""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-instance.py'

data_root = _base_.data_root
num_stuff_classes = 50
num_classes = _base_.num_things_classes + num_stuff_classes

model = dict(
    data_preprocessor=dict(
        pad_seg=True,
        seg_pad_value=255,
        batch_augments=[
            dict(
                _base_.model.data_preprocessor.batch_augments[0],
                pad_seg=True,
                seg_pad_value=255)
        ]),
    panoptic_head=dict(
        num_stuff_classes=num_stuff_classes,
        loss_cls=dict(class_weight=[1.0] * num_classes + [0.1])),
    panoptic_fusion_head=dict(num_stuff_classes=num_stuff_classes),
    test_cfg=dict(panoptic_on=True))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[1] = dict(
    type='LoadPanopticAnnotations',
    with_bbox=True,
    with_mask=True,
    with_seg=True)
# As in the stock panoptic config.
train_pipeline.remove(
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_mask=True))
test_pipeline = list(_base_.test_pipeline)
test_pipeline[2] = dict(type='LoadPanopticAnnotations')
train_dataloader = dict(
    dataset=dict(
        type='ADE20KPanopticDataset',
        ann_file='ade20k_panoptic_train.json',
        data_prefix=dict(seg='ade20k_panoptic_train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='ADE20KPanopticDataset',
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(seg='ade20k_panoptic_val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='CocoPanopticMetric',
    ann_file=data_root + 'ade20k_panoptic_val.json',
    seg_prefix=data_root + 'ade20k_panoptic_val/')
test_evaluator = val_evaluator
