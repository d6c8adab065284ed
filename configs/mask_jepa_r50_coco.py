"""Mask-JEPA of a Mask2Former with ResNet-50, on the images of COCO.

Network: that of the stock config below, by inheritance, so that shapes never
drift from what mmdet and mmseg will load. "paper" marks what the paper
states, "ours" what it leaves open.
"""
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
custom_imports = dict(
    imports=['projects.mask_jepa'], allow_failed_imports=False)

crop_size = 512  # pixels; a multiple of model.masking.stride
max_iters = 92500  # 50 passes over train2017 at a batch of 64
warmup_iters = 1500

model = dict(
    _delete_=True,
    type='MaskJEPA',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32),
    backbone=_base_.model.backbone,
    # Its classes are the prototypes below; its losses and matching are those
    # of training with labels, at fewer points, since the labels are coarse.
    panoptic_head=dict(
        train_cfg=dict(_base_.model.train_cfg, num_points=4096),
        **_base_.model.panoptic_head),
    # The backbone starts where stock Mask2Former starts, from ImageNet, with
    # its frozen batch norm. From nothing: model.backbone.init_cfg=None and
    # model.backbone.norm_cfg of group norm, since the statistics of batch norm
    # would be those of noisy images.
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
    # learn the clusters. See projects/mask_jepa/docs/experiments.md.
    centering=dict(size=32),
    prototypes=dict(loss_weight=0.03),
    # The mask losses give the logits their level.
    loss_mask_level=None)

# A folder (searched recursively), a .txt list, or a list of both.
train_dataloader = dict(
    _delete_=True,
    batch_size=8,  # on each of 8 GPUs
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SeekableInfiniteSampler', shuffle=True),
    dataset=dict(
        type='UnlabeledImageDataset',
        data_root='data/coco/train2017',
        pipeline=[
            dict(type='LoadUnlabeledImage'),
            dict(
                type='mmpretrain.RandomResizedCrop',
                scale=crop_size,
                crop_ratio_range=(0.2, 1.0)),
            dict(type='RandomFlip', prob=0.5),
            dict(
                type='PackDetInputs',
                meta_keys=('img_path', 'ori_shape', 'img_shape'))
        ]))
# Held-out images, for tools/test.py.
test_dataloader = dict(
    _delete_=True,
    batch_size=8,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='UnlabeledImageDataset',
        data_root='data/coco/val2017',
        pipeline=[
            dict(type='LoadUnlabeledImage'),
            dict(
                type='mmpretrain.ResizeEdge', scale=crop_size, edge='short'),
            dict(type='mmpretrain.CenterCrop', crop_size=crop_size),
            dict(
                type='PackDetInputs',
                meta_keys=('img_path', 'ori_shape', 'img_shape'))
        ]))
test_evaluator = dict(_delete_=True, type='PretrainMetric')
# Validation is a segmentation probe, if some labelled images are at hand: see
# mask_jepa_r50_coco_ade20k-probe.py.
val_dataloader = None
val_evaluator = None
val_cfg = None

# AdamW with the stock multipliers (backbone x0.1, no decay for embeddings).
optim_wrapper = dict(
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(lr=2e-4, weight_decay=0.05),  # ours
    clip_grad=dict(
        _delete_=True, max_norm=1.0, norm_type=2, error_if_nonfinite=True))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        begin=0,
        end=warmup_iters,
        by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=warmup_iters,
        end=max_iters,
        by_epoch=False)
]
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters)
auto_scale_lr = dict(enable=False, base_batch_size=64)  # 8 GPUs x 8 images
randomness = dict(seed=0)

custom_hooks = [
    dict(type='RunSummaryHook'),
    # Paper: the target is an EMA; ours: tau from 0.996 to 1 along a cosine.
    dict(type='EMATargetHook', begin_momentum=0.996, end_momentum=1.0),
    # schedule='constant' is the paper's random query. Falling to 0 trains the
    # learned queries as well; after a third, so that for the rest each query
    # keeps its own content, as downstream (ours).
    dict(
        type='QueryNoiseHook',
        schedule='cosine',
        start=1.0,
        end=0.0,
        end_iter=1 / 3),
    # Signs of collapse, beside the losses; a verdict at the end.
    dict(type='FeatureHealthHook', interval=250),
    dict(type='MonitoringCostHook', interval=250),
    dict(type='NonFiniteLossHook'),
    dict(type='ExactResumeHook'),
    dict(type='PlainMessageHubHook'),
    dict(type='MatchingCheckpointHook'),
    dict(type='RankConsistencyHook'),
    # Writes mask_jepa_mmdet.pth and mask_jepa_mmseg.pth when training ends.
    dict(type='ExportHook', branch='online')
]
default_hooks = dict(
    checkpoint=dict(
        _delete_=True,
        type='AtomicCheckpointHook',
        by_epoch=False,
        interval=2500,
        max_keep_ckpts=3,
        save_last=True),
    logger=dict(log_metric_by_epoch=False),
    # Sheets of a few test images, in vis_data/vis_image.
    visualization=dict(
        _delete_=True, type='PretrainVisualizationHook', interval=2500))
# On the console: the losses, time, memory and learning rate; the rest goes to
# scalars.json and the other vis_backends.
log_processor = dict(type='LossLogProcessor')
# TensorBoard: add dict(type='TensorboardVisBackend'); WandbVisBackend and
# others of MMEngine's work alike.
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
