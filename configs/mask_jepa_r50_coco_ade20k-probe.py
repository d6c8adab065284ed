"""The same pretraining, watched by a segmentation probe on ADE20K.

Any mmseg data set serves: copy val_dataloader, val_evaluator and the train
dataset of its config.
"""
_base_ = './mask_jepa_r50_coco.py'

ade20k = dict(
    type='ADE20KDataset',
    data_root='data/ade/ADEChallengeData2016',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(2048, 512), keep_ratio=True),
        dict(type='LoadAnnotations', reduce_zero_label=True),
        dict(type='PackSegInputs')
    ])
val_dataloader = dict(
    _delete_=True,
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=dict(
            img_path='images/validation',
            seg_map_path='annotations/validation'),
        **ade20k))
val_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
val_cfg = dict(
    _delete_=True,
    type='SegmentationProbe',
    # Of 20,210 and 2,000; enough to see where the features go.
    max_images=1000,
    train_dataset=dict(
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'),
        **ade20k))
train_cfg = dict(val_interval=5000)
# Which checkpoint to keep.
default_hooks = dict(checkpoint=dict(save_best='probe/linear_mIoU'))
