"""Baseline: only the backbone, from ImageNet weights, by mmpretrain's BYOL.

At the size, on the images and with the learning rates of
mask_jepa_efficientnet-lite0_tiny_nuclei.py. The last checkpoint goes into the
fine-tuning configs of that network by load_from.
"""
_base_ = [
    './byol_r18-tiny_camvid.py', '../_base_/backbones/efficientnet-lite0.py'
]
custom_imports = _base_.efficientnet_lite0.custom_imports

data_preprocessor = _base_.efficientnet_lite0.model.data_preprocessor
model = dict(
    # All stages are there, but BYOL sees the last.
    backbone=dict(_base_.efficientnet_lite0.model.backbone, out_indices=(4, )),
    neck=dict(in_channels=320, hid_channels=640),
    head=dict(predictor=dict(hid_channels=640)))

crop = dict(crop_ratio_range=(0.12, 0.4))
train_pipeline = [
    dict(
        step,
        transforms=[[
            dict(each, **crop) if each['type'] == 'RandomResizedCrop' else each
            for each in view
        ] for view in step['transforms']])
    if step['type'] == 'MultiView' else step for step in _base_.train_pipeline
]
train_dataloader = dict(
    dataset=dict(
        data_prefix='{{$MASK_JEPA_DATA:../shared/data}}/nuclei/train',
        pipeline=train_pipeline))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
