"""What all pretrainings share: images, schedule, hooks.

It inherits the stock config of the network that is pretrained, so that shapes
never drift from what mmdet and mmseg will load. "paper" marks what the paper
states, "ours" what it leaves open.
"""
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
custom_imports = dict(imports=['mask_jepa'], allow_failed_imports=False)
# Of the stock config; nothing here follows from them.
max_iters = interval = dynamic_intervals = image_size = batch_augments = None

# Transforms without a size of their own crop to the dataset's crop_size.
# With LoadUnlabeledImage, mmpretrain.RandomResizedCrop and PackDetInputs in
# their place the crops are the same, but slower.
train_pipeline = [
    dict(type='ReadUnlabeledImage'),
    dict(type='DecodeRandomResizedCrop', crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='PackUnlabeledInputs',
        meta_keys=('img_path', 'ori_shape', 'img_shape'))
]
test_pipeline = [
    dict(type='LoadUnlabeledImage'),
    dict(type='mmpretrain.ResizeEdge', edge='short'),
    dict(type='mmpretrain.CenterCrop'),
    dict(
        type='PackDetInputs', meta_keys=('img_path', 'ori_shape', 'img_shape'))
]
# data_root: a folder (searched recursively), a zip or tar, a .txt list, or a
# list of these.
train_dataloader = dict(
    _delete_=True,
    batch_size=8,  # on each of 8 GPUs
    num_workers=4,  # on each GPU; see docs/performance.md
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='SeekableInfiniteSampler', shuffle=True),
    dataset=dict(
        type='UnlabeledImageDataset',
        crop_size=512,  # pixels; a multiple of model.masking.stride
        pipeline=train_pipeline))
# Held-out images, for the pictures and tools/test.py, at the same crop.
test_dataloader = dict(
    _delete_=True,
    batch_size=8,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='UnlabeledImageDataset', pipeline=test_pipeline))
test_evaluator = dict(_delete_=True, type='PretrainMetric')
# Validation is a segmentation probe, if some labelled images are at hand: see
# mask_jepa_r50_coco_ade20k-probe.py.
val_dataloader = None
val_evaluator = None
val_cfg = None

# AdamW with the stock multipliers (backbone x0.1, no decay for embeddings).
optim_wrapper = dict(
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(lr=2e-4, weight_decay=0.05, fused=True),  # ours
    clip_grad=dict(
        _delete_=True, max_norm=1.0, norm_type=2, error_if_nonfinite=True))
# The cosine ends where the training does: with train_cfg.max_iters.
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-3, begin=0, end=1500, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, by_epoch=False)
]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop')
auto_scale_lr = dict(enable=False, base_batch_size=64)  # 8 GPUs x 8 images
randomness = dict(seed=0)
# Of several processes: gradients lie where they are added up, so that they
# are neither held twice nor copied.
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    broadcast_buffers=False,
    gradient_as_bucket_view=True)

# Seconds that processes wait for each other.
env_cfg = dict(dist_cfg=dict(timeout=600))

# By name, so that a config or --cfg-options changes one of them, and
# custom_hooks only adds. Those of equal priority run in this order.
default_hooks = dict(
    # What is trained, on how many images, how long, where the output goes.
    summary=dict(type='RunSummaryHook'),
    # Paper: the target is an EMA; ours: tau from 0.996 to 1 along a cosine.
    target=dict(type='EMATargetHook', begin_momentum=0.996, end_momentum=1.0),
    # schedule='constant' is the paper's random query. Falling to 0 trains the
    # learned queries as well; after a third, so that for the rest each query
    # keeps its own content, as downstream (ours).
    query_noise=dict(
        type='QueryNoiseHook',
        schedule='cosine',
        start=1.0,
        end=0.0,
        end_iter=1 / 3),
    # Signs of collapse, beside the losses; a verdict at the end.
    health=dict(type='FeatureHealthHook', interval=250),
    monitoring_cost=dict(type='MonitoringCostHook', interval=250),
    # max_skips: how many steps in a row may be left out before it stops.
    finite_loss=dict(type='NonFiniteLossHook', max_skips=0),
    exact_resume=dict(type='ExactResumeHook'),
    plain_checkpoint=dict(type='PlainMessageHubHook'),
    matching_checkpoint=dict(type='MatchingCheckpointHook'),
    # After matching_checkpoint, which takes checkpoints of older releases.
    resumed_settings=dict(type='ResumedSettingsHook'),
    unused_parameters=dict(type='UnusedParameterHook'),
    # Writes mask_jepa_mmdet.pth and mask_jepa_mmseg.pth when training ends.
    export=dict(type='ExportHook', branch='online'),
    # Its last check comes after the export.
    rank_consistency=dict(type='RankConsistencyHook', interval=1000),
    checkpoint=dict(
        _delete_=True,
        type='AtomicCheckpointHook',
        by_epoch=False,
        interval=2500,
        max_keep_ckpts=3,
        save_last=True),
    # SIGTERM, SIGINT, SIGUSR1: finish the step, save, leave.
    stop_signal=dict(type='StopSignalHook'),
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
