"""Does it help instances, from an ImageNet backbone?

The protocol is in docs/experiments.md.
"""
tiles = 'work_dirs/experiments/data/nuclei_val_128'
nuclei = '{{$MASK_JEPA_DATA:../shared/data}}/nuclei'
preparations = {
    f'{tiles}/annotations.json': [
        'tools/dataset_converters/tile_coco.py',
        f'{nuclei}/annotations/instances_val.json', f'{nuclei}/val', '--size',
        '128', '--out', tiles
    ]
}

seeds = [0, 1, 2]
label_fractions = [0.05, 0.25, 1]
compare_with = ['ImageNet only']
finetune_iters = 2000
tasks = dict(
    nuclei=dict(
        config='configs/experiments/_base_/nuclei_task.py',
        library='mmdet',
        metric='coco/segm_mAP',
        scale=100,
        options={
            'optim_wrapper.optimizer.lr': 1e-3,
            'train_cfg.max_iters': finetune_iters,
            'train_cfg.val_interval': 500,
            'default_hooks.checkpoint.interval': finetune_iters,
        }))
config = 'configs/mask_jepa_efficientnet-lite0_tiny_nuclei.py'
pretrain_options = {
    'default_hooks.visualization.interval': 1500,
}
# As it was before instances, noise by the image, and clean images.
earlier_options = {
    'model.pseudo_instances': None,
    'model.clean_share': 0.0,
    'model.noise.per_image': False,
    'model.photometric_change.per_image': False,
    'default_hooks.query_noise.start': 1.0,
    'default_hooks.query_noise.schedule': 'cosine',
}
paper_options = {
    'model.pseudo_instances': None,
    'model.clean_share': 0.0,
    'model.noise.per_image': False,
    'model.noise.masked_gamma': 0.7,
    'model.photometric_change': None,
    'model.loss_regularizer': None,
    'model.centering': None,
    'model.prototypes': None,
    'default_hooks.query_noise.start': 1.0,
}
pretrainings = {
    name: dict(config=config, options={
        **pretrain_options,
        **options
    })
    for name, options in {
        'Mask-JEPA': {},
        'before instances': earlier_options,
        'the paper': paper_options,
        'reconstruction only': {
            **paper_options, 'model.loss_jepa.loss_weight': 0.0
        },
    }.items()
}
arms = {
    'ImageNet only':
    dict(),
    'random weights':
    dict(options={'model.backbone.init_cfg': None}),
    'Mask-JEPA':
    dict(pretraining='Mask-JEPA'),
    'Mask-JEPA, decoders only':
    dict(
        pretraining='Mask-JEPA',
        parts=['pixel_decoder', 'transformer_decoder']),
    'before instances':
    dict(pretraining='before instances'),
    'the paper':
    dict(pretraining='the paper'),
    # Its transformer decoder has learned nothing.
    'reconstruction only':
    dict(
        pretraining='reconstruction only', parts=['backbone',
                                                  'pixel_decoder']),
}
