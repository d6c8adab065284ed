"""Swin-S, as in the stock config; see swin-t.py."""
_base_ = './swin-t.py'
swin_s = dict(
    model=dict(
        backbone=dict(
            _base_.swin_t.model.backbone,
            depths=[2, 2, 18, 2],
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://github.com/SwinTransformer/storage/'
                'releases/download/v1.0.0/swin_small_patch4_window7_224.pth')),
        panoptic_head=_base_.swin_t.model.panoptic_head),
    optim_wrapper=dict(
        paramwise_cfg=dict(
            custom_keys={
                **_base_.swin_t.optim_wrapper.paramwise_cfg.custom_keys,
                **{
                    f'backbone.stages.2.blocks.{block}.norm': _base_.no_decay
                    for block in range(6, 18)
                }
            })))
