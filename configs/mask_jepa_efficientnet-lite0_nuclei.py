"""Cell nuclei, from an ImageNet backbone, at CPU size."""
_base_ = ['./mask_jepa_r18_tiny.py', './_base_/backbones/efficientnet-lite0.py']
custom_imports = _base_.efficientnet_lite0.custom_imports
# Fields of cells are dark and flat: noise that fits photographs would hide
# them.
model = dict(
    noise=dict(per_image=True),
    photometric_change=dict(per_image=True),
    **_base_.efficientnet_lite0.model)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
nuclei = '{{$MASK_JEPA_DATA:../shared/data}}/nuclei'
train_dataloader = dict(dataset=dict(data_root=f'{nuclei}/train'))
test_dataloader = dict(dataset=dict(data_root=f'{nuclei}/val'))
val_dataloader = None
val_evaluator = None
val_cfg = None
default_hooks = dict(checkpoint=dict(save_best=None))
