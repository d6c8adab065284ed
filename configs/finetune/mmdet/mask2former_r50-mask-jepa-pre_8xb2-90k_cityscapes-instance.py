"""Cityscapes instance Mask2Former with ResNet-50, started from Mask-JEPA."""
_base_ = './mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-instance.py'

data_root = 'data/cityscapes/'
annotations = 'annotations/instancesonly_filtered_gtFine_'
width, height = 1024, 512
num_things_classes = 8

model = dict(
    data_preprocessor=dict(batch_augments=[
        dict(
            _base_.model.data_preprocessor.batch_augments[0],
            size=(height, width))
    ]),
    panoptic_head=dict(
        num_things_classes=num_things_classes,
        loss_cls=dict(class_weight=[1.0] * num_things_classes + [0.1])),
    panoptic_fusion_head=dict(num_things_classes=num_things_classes))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[3] = dict(train_pipeline[3], scale=(2048, 1024))
train_pipeline[4] = dict(train_pipeline[4], crop_size=(width, height))
test_pipeline = list(_base_.test_pipeline)
test_pipeline[1] = dict(test_pipeline[1], scale=(2048, 1024))
train_dataloader = dict(
    dataset=dict(
        type='CityscapesDataset',
        data_root=data_root,
        ann_file=f'{annotations}train.json',
        data_prefix=dict(img='leftImg8bit/train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='CityscapesDataset',
        data_root=data_root,
        ann_file=f'{annotations}val.json',
        data_prefix=dict(img='leftImg8bit/val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{data_root}{annotations}val.json')
test_evaluator = val_evaluator

train_cfg = dict(max_iters=90000)
