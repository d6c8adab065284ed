"""Swin-L, as in the stock config.

Layer norm, all trained; no weight decay for norms and position biases.
"""
depths = [2, 2, 18, 2]
swin_l = dict(
    _delete_=True,
    type='SwinTransformer',
    pretrain_img_size=384,
    embed_dims=192,
    depths=depths,
    num_heads=[6, 12, 24, 48],
    window_size=12,
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
    frozen_stages=-1)
swin_l_in22k = dict(
    type='Pretrained',
    checkpoint='https://github.com/SwinTransformer/storage/releases/'
    'download/v1.0.0/swin_large_patch4_window12_384_22k.pth')
swin_l_channels = [192, 384, 768, 1536]
no_decay = dict(lr_mult=0.1, decay_mult=0.0)
swin_l_custom_keys = {
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
}
