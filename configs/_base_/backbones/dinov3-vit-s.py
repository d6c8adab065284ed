"""DINOv3's ViT-S/16 of timm, with mmseg's simple feature pyramid.

Its weights, and what is trained from them, are under the DINOv3 License.
Rotary positions, which fit any size. Layer norm, all trained, the lower layers
more slowly; no weight decay for norms, layer scales and tokens.
"""
channels = 384
no_decay = dict(lr_mult=0.1, decay_mult=0.0)
dinov3_vit_s = dict(
    model=dict(
        backbone=dict(
            _delete_=True,
            type='FrozenNormTIMMBackbone',
            model_name='vit_small_patch16_dinov3.lvd1689m',
            out_indices=(2, 5, 8, 11),
            init_cfg=dict(type='TIMMPretrained')),
        neck=dict(
            type='mmseg.Feature2Pyramid',
            embed_dim=channels,
            norm_cfg=dict(type='GN', num_groups=32)),
        panoptic_head=dict(in_channels=[channels] * 4)),
    optim_wrapper=dict(
        paramwise_cfg=dict(
            layer_decay_rate=0.9,
            custom_keys={
                f'backbone.timm_model.model.{name}': no_decay
                for name in ('cls_token', 'reg_token', *[
                    f'blocks.{layer}.{part}' for layer in range(12)
                    for part in ('norm', 'gamma')
                ])
            })))
del channels
