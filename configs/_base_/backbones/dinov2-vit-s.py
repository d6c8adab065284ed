"""DINOv2's ViT-S with registers, of timm, and mmseg's simple feature pyramid.

timm resamples its patches of 14 pixels to 16, so that the maps have the
strides of every Mask2Former. Layer norm, all trained, the lower layers more
slowly; no weight decay for norms, layer scales, tokens and positions.
"""
channels = 384
no_decay = dict(lr_mult=0.1, decay_mult=0.0)
network = dict(
    model_name='vit_small_patch14_reg4_dinov2.lvd142m',
    patch_size=16,
    img_size=512,
    dynamic_img_size=True,
    out_indices=(2, 5, 8, 11))
dinov2_vit_s = dict(
    # For fine-tuning, which needs nothing of this project.
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        features_only=True,
        **network),
    model=dict(
        backbone=dict(
            _delete_=True,
            type='FrozenNormTIMMBackbone',
            init_cfg=dict(type='TIMMPretrained'),
            **network),
        neck=dict(
            type='mmseg.Feature2Pyramid',
            embed_dim=channels,
            norm_cfg=dict(type='GN', num_groups=32)),
        panoptic_head=dict(in_channels=[channels] * 4)),
    # The constructors of mmdet and mmseg ignore the rate.
    optim_wrapper=dict(
        paramwise_cfg=dict(
            layer_decay_rate=0.9,
            custom_keys={
                f'backbone.timm_model.model.{name}': no_decay
                for name in ('cls_token', 'reg_token', 'pos_embed', *[
                    f'blocks.{layer}.{part}' for layer in range(12)
                    for part in ('norm', 'ls')
                ])
            })))
del channels, network
