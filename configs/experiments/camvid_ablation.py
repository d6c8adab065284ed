"""What does each part of the method add?"""
_base_ = './_base_/camvid.py'

seeds = [0, 1, 2]
# With all labels the seeds differ less.
label_fractions = [1 / 16, 1]
compare_with = ['Mask-JEPA', 'no pretraining']
tasks = dict(CamVid=_base_.camvid_task)
config = 'configs/mask_jepa_r18_tiny.py'
# The first three are the paper's.
changes = {
    'Mask-JEPA': {},
    'without reconstruction': {
        'model.reconstruction': False
    },
    'without denoising': {
        'model.denoising': False
    },
    'without auxiliary self-attention': {
        'model.auxiliary_self_attention': False
    },
    'without masks of prototypes': {
        'model.prototypes': None
    },
    'without centring of the target': {
        'model.centering': None
    },
    'without another light': {
        'model.photometric_change': None
    },
    'learned queries': {
        'model.query_sigma': 0.0,
        'default_hooks.query_noise.start': 0.0
    },
    'literal: hidden places visible to F_last': {
        'model.noise.masked_gamma': 0.7
    },
}
pretrainings = {
    name: dict(config=config, options={
        **_base_.pretrain_options,
        **options
    })
    for name, options in changes.items()
}
arms = {
    'no pretraining': dict(),
    **{
        name: dict(pretraining=name)
        for name in changes
    },
}
