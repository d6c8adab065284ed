"""A Mask2Former of CPU size, in the keys that mmdet and mmseg share.

Group norm in the backbone: with small batches, and with noisy input while
pretraining, batch statistics would not fit what comes later.
"""
r18_tiny_channels = 64
r18_tiny_backbone = dict(
    depth=18,
    # Half the usual width; mmseg, unlike mmdet, has to be told of the stem.
    base_channels=32,
    stem_channels=32,
    norm_cfg=dict(_delete_=True, type='GN', num_groups=32),
    norm_eval=False,
    init_cfg=None)
r18_tiny_attention = dict(embed_dims=r18_tiny_channels, num_heads=8)
r18_tiny_head = dict(
    in_channels=[32, 64, 128, 256],
    feat_channels=r18_tiny_channels,
    out_channels=r18_tiny_channels,
    num_queries=50,
    positional_encoding=dict(num_feats=r18_tiny_channels // 2),
    pixel_decoder=dict(
        positional_encoding=dict(num_feats=r18_tiny_channels // 2),
        encoder=dict(
            num_layers=2,
            layer_cfg=dict(
                self_attn_cfg=r18_tiny_attention,
                ffn_cfg=dict(
                    embed_dims=r18_tiny_channels, feedforward_channels=256)))),
    transformer_decoder=dict(
        num_layers=3,
        layer_cfg=dict(
            self_attn_cfg=r18_tiny_attention,
            cross_attn_cfg=r18_tiny_attention,
            ffn_cfg=dict(
                embed_dims=r18_tiny_channels, feedforward_channels=512))))
