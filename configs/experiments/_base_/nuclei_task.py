"""Nuclei from an ImageNet backbone, on tiles of the validation images.

The losses and the optimiser are those of the stock config, at fewer calls.
"""
_base_ = ('../../finetune/mmdet/mask2former_efficientnet-lite0-tiny-mask-'
          'jepa-pre_1xb8-2k_nuclei.py')

model = dict(
    backbone=_base_.efficientnet_lite0.model.backbone,
    panoptic_head=dict(type='BatchedMask2FormerHead'))
optim_wrapper = dict(
    constructor='GroupedOptimWrapperConstructor', optimizer=dict(fused=True))
