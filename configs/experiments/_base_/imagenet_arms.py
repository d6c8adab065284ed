"""What the experiments from an ImageNet backbone share: arms and length.

The protocol is in docs/experiments.md.
"""
seeds = list(range(8))
label_fractions = [0.05, 0.25, 1]
compare_with = ['ImageNet only']
finetune_iters = 2000
finetune_options = {
    'optim_wrapper.optimizer.lr': 1e-3,
    'train_cfg.max_iters': finetune_iters,
    'train_cfg.val_interval': 500,
    'default_hooks.checkpoint.interval': finetune_iters,
}

pretrain_options = {'default_hooks.visualization.interval': 1500}
# As it was before instances, noise by the image, clean images, and stages of
# the backbone as the target.
num_prototypes = 16
earlier_options = {
    'model.prototypes': dict(_delete_=True, loss_weight=0.03),
    'model.panoptic_head.num_things_classes': num_prototypes,
    'model.panoptic_head.loss_cls.class_weight':
    [1.0] * num_prototypes + [0.1],
    'model.pseudo_instances': None,
    'model.target_levels': ['F_last'],
    'model.centering': dict(_delete_=True),
    'model.clean_share': 0.0,
    'model.noise.per_image': False,
    'model.photometric_change.per_image': False,
    'default_hooks.query_noise.start': 1.0,
    'default_hooks.query_noise.schedule': 'cosine',
}
paper_options = {
    'model.pseudo_instances': None,
    'model.target_levels': ['F_last'],
    'model.clean_share': 0.0,
    'model.noise.per_image': False,
    'model.noise.masked_gamma': 0.7,
    'model.photometric_change': None,
    'model.loss_regularizer': None,
    'model.centering': None,
    'model.prototypes': None,
    'default_hooks.query_noise.start': 1.0,
}
# As many crops as of Mask-JEPA, 32 an iteration.
byol_config = 'configs/baselines/byol_efficientnet-lite0_nuclei.py'
recipes = {
    'Mask-JEPA': pretrain_options,
    'before instances': {
        **pretrain_options,
        **earlier_options
    },
    'the paper': {
        **pretrain_options,
        **paper_options
    },
    'reconstruction only': {
        **pretrain_options,
        **paper_options, 'model.loss_jepa.loss_weight': 0.0
    },
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
    'BYOL, backbone only':
    dict(pretraining='BYOL'),
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
