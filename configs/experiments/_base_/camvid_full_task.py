"""All of CamVid from an ImageNet backbone, scored on its validation frames.

The losses and the optimiser are those of the stock config, at fewer calls.
"""
_base_ = ('../../finetune/mmseg/mask2former_efficientnet-lite0-tiny-mask-'
          'jepa-pre_1xb4-2k_camvid-128x128.py')

custom_imports = dict(
    imports=[
        'mask_jepa', 'mask_jepa.models.timm_backbone',
        'mask_jepa.models.mmseg_head'
    ],
    allow_failed_imports=False)
model = dict(
    backbone=_base_.efficientnet_lite0.model.backbone,
    decode_head=dict(type='BatchedMask2FormerHead'))
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(
    constructor='GroupedOptimWrapperConstructor', optimizer=dict(fused=True))
