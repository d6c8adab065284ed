"""Swin-L, as in the stock config; see swin-t.py."""
_base_ = './swin-b.py'
swin_l = dict(_base_.swin_b, embed_dims=192, num_heads=[6, 12, 24, 48])
swin_l_in22k = dict(
    type='Pretrained',
    checkpoint='https://github.com/SwinTransformer/storage/releases/'
    'download/v1.0.0/swin_large_patch4_window12_384_22k.pth')
swin_l_channels = [192, 384, 768, 1536]
swin_l_custom_keys = _base_.swin_s_custom_keys
