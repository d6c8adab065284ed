"""Does pretraining help where labels are few?"""
_base_ = './_base_/camvid.py'

seeds = [0, 1, 2, 3, 4, 5, 6, 7]
# Of the arms that others are measured against, three.
few_seeds = [0, 1, 2]
label_fractions = [1 / 16, 1 / 8, 1 / 4, 1]
fewest_and_all = [1 / 16, 1]
compare_with = ['no pretraining', 'Mask-JEPA, backbone only', 'Mask-JEPA']
tasks = dict(CamVid=_base_.camvid_task)
config = 'configs/mask_jepa_r18_tiny.py'
pretrainings = {
    'Mask-JEPA':
    dict(config=config, options=_base_.pretrain_options),
    'reconstruction only':
    dict(
        config=config,
        options={
            **_base_.pretrain_options,
            'model.loss_jepa.loss_weight': 0.0,
            'model.loss_regularizer': None,
            'model.prototypes': None,
        }),
    'BYOL':
    dict(
        config='configs/baselines/byol_r18-tiny_camvid.py',
        library='mmpretrain',
        options=_base_.byol_options),
}
arms = {
    'no pretraining':
    dict(),
    'Mask-JEPA':
    dict(pretraining='Mask-JEPA'),
    'Mask-JEPA, backbone and pixel decoder':
    dict(
        pretraining='Mask-JEPA',
        parts=['backbone', 'pixel_decoder'],
        label_fractions=fewest_and_all),
    'Mask-JEPA, backbone only':
    dict(
        pretraining='Mask-JEPA',
        parts=['backbone'],
        label_fractions=fewest_and_all),
    'Mask-JEPA, target branch':
    dict(
        pretraining='Mask-JEPA',
        branch='target',
        label_fractions=[1 / 16],
        seeds=few_seeds),
    # Its decoder has learned nothing, so it starts as without pretraining.
    'reconstruction only':
    dict(
        pretraining='reconstruction only',
        parts=['backbone', 'pixel_decoder'],
        seeds=few_seeds),
    'BYOL, backbone only':
    dict(pretraining='BYOL', seeds=few_seeds),
}
