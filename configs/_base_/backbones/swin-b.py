"""Swin-B, as in the stock config; see swin-t.py."""
_base_ = './swin-s.py'
swin_b = dict(
    model=dict(
        backbone=dict(
            _base_.swin_s.model.backbone,
            pretrain_img_size=384,
            embed_dims=128,
            num_heads=[4, 8, 16, 32],
            window_size=12,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://github.com/SwinTransformer/storage/'
                'releases/download/v1.0.0/swin_base_patch4_window12_384.pth')),
        panoptic_head=dict(in_channels=[128, 256, 512, 1024])),
    optim_wrapper=_base_.swin_s.optim_wrapper)
