"""Swin-S, as in the stock config; see swin-t.py."""
_base_ = './swin-t.py'
swin_s = dict(_base_.swin_t, depths=[2, 2, 18, 2])
swin_s_in1k = dict(
    type='Pretrained',
    checkpoint='https://github.com/SwinTransformer/storage/releases/'
    'download/v1.0.0/swin_small_patch4_window7_224.pth')
swin_s_channels = _base_.swin_t_channels
swin_s_custom_keys = {
    **_base_.swin_t_custom_keys,
    **{
        f'backbone.stages.2.blocks.{block}.norm': _base_.no_decay
        for block in range(6, 18)
    }
}
