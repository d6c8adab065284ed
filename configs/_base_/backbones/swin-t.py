"""Swin-T, as in the stock config.

Layer norm, all trained; no weight decay for norms and position biases.
"""
depths = [2, 2, 6, 2]
no_decay = dict(lr_mult=0.1, decay_mult=0.0)
swin_t = dict(
    model=dict(
        backbone=dict(
            _delete_=True,
            type='SwinTransformer',
            embed_dims=96,
            depths=depths,
            num_heads=[3, 6, 12, 24],
            window_size=7,
            mlp_ratio=4,
            qkv_bias=True,
            qk_scale=None,
            drop_rate=0.,
            attn_drop_rate=0.,
            drop_path_rate=0.3,
            patch_norm=True,
            out_indices=(0, 1, 2, 3),
            with_cp=False,
            convert_weights=True,
            frozen_stages=-1,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://github.com/SwinTransformer/storage/'
                'releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth')),
        panoptic_head=dict(in_channels=[96, 192, 384, 768])),
    optim_wrapper=dict(
        paramwise_cfg=dict(
            custom_keys={
                'backbone.patch_embed.norm': no_decay,
                'backbone.norm': no_decay,
                'absolute_pos_embed': no_decay,
                'relative_position_bias_table': no_decay,
                **{
                    f'backbone.stages.{stage}.blocks.{block}.norm': no_decay
                    for stage, depth in enumerate(depths)
                    for block in range(depth)
                },
                **{
                    f'backbone.stages.{stage}.downsample.norm': no_decay
                    for stage in range(len(depths) - 1)
                }
            })))
