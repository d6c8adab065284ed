"""Mask-JEPA of a Mask2Former with ResNet-50, on the images of COCO.

"paper" marks what the paper states, "ours" what it leaves open or what we
add; mask_jepa_r50_coco_paper.py is without what we add.
"""
_base_ = './_base_/pretraining.py'

model = dict(
    _delete_=True,
    type='MaskJEPA',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        non_blocking=True),  # from train_dataloader.pin_memory
    # It starts where stock Mask2Former starts, from ImageNet, with its frozen
    # batch norm. From nothing: model.backbone.init_cfg=None and
    # model.backbone.norm_cfg of group norm, since the statistics of batch norm
    # would be those of noisy images.
    backbone=_base_.model.backbone,
    # Its classes are the prototypes below; its losses and matching are those
    # of training with labels, at each place of the grid of the labels, or at
    # num_points of them if there are more.
    panoptic_head=dict(
        train_cfg=dict(_base_.model.train_cfg, num_points=4096),
        **_base_.model.panoptic_head),
    # Step 1: share of the image's variance in the input (ours). Hidden places
    # are pure noise; masked_gamma=gamma is the literal reading of the paper,
    # in which the answer leaks through F_last.
    noise=dict(gamma=0.7, masked_gamma=0.0),
    # Step 4: half of the 32-pixel cells, in blocks of 2x2 (ours).
    masking=dict(ratio=0.5, block_size=2, stride=32),
    # Step 7: the target is predicted at every 16th pixel (ours), 32x32 places
    # at this crop, since auxiliary self-attention is quadratic in them.
    prediction_stride=16,
    # The three switches that the paper ablates.
    reconstruction=True,
    denoising=True,
    auxiliary_self_attention=True,
    # Losses and their weights (ours; the paper's are not known to us).
    loss_jepa=dict(type='JEPALoss', loss_weight=1.0),
    loss_reconstruction=dict(type='ReconstructionLoss', loss_weight=1.0),
    loss_regularizer=dict(type='VarianceCovarianceLoss', loss_weight=0.1),
    # The target sees the image in its own light (ours).
    photometric_change=dict(contrast=0.4, brightness=0.6, color=0.2),
    # What gives the masks a meaning (ours): the target, without what all
    # images have at a place, is clustered over the data set, and the masks
    # learn the clusters. See docs/experiments.md.
    centering=dict(),
    # stock_losses=True compares masks as mmdet does, at points and one image
    # at a time: a step takes a GPU twice as long.
    prototypes=dict(loss_weight=0.03, stock_losses=False),
    # The mask losses give the logits their level.
    loss_mask_level=None)

train_dataloader = dict(dataset=dict(data_root='data/coco/train2017'))
test_dataloader = dict(dataset=dict(data_root='data/coco/val2017'))
train_cfg = dict(max_iters=92500)  # 50 passes over train2017 at a batch of 64
