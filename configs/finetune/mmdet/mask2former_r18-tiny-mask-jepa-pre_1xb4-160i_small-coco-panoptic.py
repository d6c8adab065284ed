"""Panoptic segmentation at CPU size, on the small COCO set.

It needs panopticapi.
"""
_base_ = ('./mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_'
          'small-coco-instance.py')

num_stuff_classes = 53
num_classes = _base_.num_things_classes + num_stuff_classes
annotations = _base_.data_root + 'annotations/'

model = dict(
    data_preprocessor=dict(
        pad_seg=True,
        batch_augments=[
            dict(
                _base_.model.data_preprocessor.batch_augments[0], pad_seg=True)
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
test_pipeline = list(_base_.test_pipeline)
test_pipeline[2] = dict(type='LoadPanopticAnnotations')
train_dataloader = dict(
    dataset=dict(
        type='CocoPanopticDataset',
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(
            img='train2017/', seg='annotations/panoptic_train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='CocoPanopticDataset',
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='CocoPanopticMetric',
    ann_file=annotations + 'panoptic_val2017.json',
    seg_prefix=annotations + 'panoptic_val2017/')
test_evaluator = val_evaluator
