"""Swin-L from ImageNet-22k, as in the stock config; see swin-t.py."""
_base_ = './swin-b.py'
swin_l = dict(
    model=dict(
        backbone=dict(
            _base_.swin_b.model.backbone,
            embed_dims=192,
            num_heads=[6, 12, 24, 48],
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://github.com/SwinTransformer/storage/'
                'releases/download/v1.0.0/'
                'swin_large_patch4_window12_384_22k.pth')),
        panoptic_head=dict(
            in_channels=[192, 384, 768, 1536], num_queries=200)),
    optim_wrapper=_base_.swin_b.optim_wrapper)
