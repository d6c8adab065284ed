"""Labelled images for the segmentation probe: some of CamVid's.

An mmseg data set like any other, made cheap: 128 pixels on the short side, as
the tiny network pretrains, labels as well.
"""
camvid_probe_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=False),
    dict(type='Resize', scale=(172, 128), keep_ratio=True),
    dict(type='PackSegInputs')
]
camvid_probe_dataset = dict(
    type='BaseSegDataset',
    data_root='{{$MASK_JEPA_DATA:../shared/data}}/camvid/',
    metainfo=dict(
        classes=('Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree',
                 'SignSymbol', 'Fence', 'Car', 'Pedestrian', 'Bicyclist')),
    img_suffix='.jpg',
    seg_map_suffix='.png',
    reduce_zero_label=False,
    pipeline=camvid_probe_pipeline)
camvid_probe_train_dataset = dict(
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    **camvid_probe_dataset)
camvid_probe_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        **camvid_probe_dataset))
camvid_probe_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
