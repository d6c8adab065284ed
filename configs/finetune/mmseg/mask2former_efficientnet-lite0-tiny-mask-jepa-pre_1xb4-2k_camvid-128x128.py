"""All of CamVid in crops of 128 pixels, at CPU size."""
_base_ = [
    './mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py',
    '../../_base_/backbones/efficientnet-lite0.py'
]

data_root = '{{$MASK_JEPA_DATA:../shared/data}}/camvid_full/'
custom_imports = _base_.efficientnet_lite0.custom_imports

model = dict(
    init_cfg=dict(
        checkpoint='work_dirs/mask_jepa_efficientnet-lite0_tiny_camvid/'
        'mask_jepa_mmseg.pth'),
    data_preprocessor=_base_.efficientnet_lite0.model.data_preprocessor,
    backbone=dict(_base_.efficientnet_lite0.model.backbone, init_cfg=None),
    decode_head=_base_.efficientnet_lite0.model.panoptic_head)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
train_cfg = dict(max_iters=2000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
