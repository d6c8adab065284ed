"""Cell nuclei, from an ImageNet backbone, at CPU size.

Many small things of a kind: masks learn single things. What recurs in fields
of cells are bands around them, which are no class of anything.
"""
_base_ = [
    './mask_jepa_r18_tiny.py', './_base_/backbones/efficientnet-lite0.py'
]
custom_imports = _base_.efficientnet_lite0.custom_imports
nuclei = '{{$MASK_JEPA_DATA:../shared/data}}/nuclei'

model = dict(
    panoptic_head=dict(
        num_things_classes=1,
        loss_cls=dict(class_weight=[1.0, 0.1]),
        train_cfg=dict(num_points=1024),
        **_base_.efficientnet_lite0.model.panoptic_head),
    # Fields of cells are dark and flat: noise that fits photographs would
    # hide them.
    noise=dict(per_image=True),
    photometric_change=dict(per_image=True),
    # Masks of things cannot be told in noise alone.
    clean_share=0.5,
    prototypes=None,
    pseudo_instances=dict(
        num_clusters=[2, 3], stride=2, min_places=16, loss_weight=0.3),
    data_preprocessor=_base_.efficientnet_lite0.model.data_preprocessor,
    backbone=_base_.efficientnet_lite0.model.backbone)
# Crops at about the native scale, at which the nuclei are fine-tuned.
train_pipeline = [
    dict(step, crop_ratio_range=(0.12, 0.4))
    if step['type'] == 'DecodeRandomResizedCrop' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(
    dataset=dict(data_root=f'{nuclei}/train', pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(data_root=f'{nuclei}/val'))
val_dataloader = None
val_evaluator = None
val_cfg = None

optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
train_cfg = dict(max_iters=1500)
default_hooks = dict(
    # The learned queries from the start: each finds things of its own.
    query_noise=dict(start=0.0, schedule='constant'),
    checkpoint=dict(interval=500, save_best=None))
