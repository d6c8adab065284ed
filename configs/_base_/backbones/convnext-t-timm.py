"""ConvNeXt-T of timm, with weights of ImageNet-12k and 1k.

Other weights of the same network, such as DINOv3's, by their tag:
model.backbone.model_name=convnext_tiny.dinov3_lvd1689m. Layer norm, all
trained, the lower layers more slowly; no weight decay for norms and layer
scales.
"""
no_decay = dict(lr_mult=0.1, decay_mult=0.0)
convnext_t_timm = dict(
    model=dict(
        backbone=dict(
            _delete_=True,
            type='FrozenNormTIMMBackbone',
            model_name='convnext_tiny.in12k_ft_in1k',
            # The network as it is, which knows the depth of its layers.
            feature_cls='getter',
            out_indices=(0, 1, 2, 3),
            drop_path_rate=0.3,
            init_cfg=dict(type='TIMMPretrained')),
        panoptic_head=dict(in_channels=[96, 192, 384, 768])),
    optim_wrapper=dict(
        paramwise_cfg=dict(
            layer_decay_rate=0.9,
            custom_keys={
                f'backbone.timm_model.model.{name}': no_decay
                for name in ('stem.1', *[
                    f'stages.{stage}.{part}'
                    for stage, depth in enumerate((3, 3, 9, 3))
                    for part in ('downsample.0', *[
                        f'blocks.{block}.{name}' for block in range(depth)
                        for name in ('norm', 'gamma')
                    ])
                ])
            })))
