"""Does pretraining save steps of fine-tuning?

Each length has a schedule of its own; 300 steps are the budget of the other
experiments.
"""
_base_ = './_base_/camvid.py'

seeds = [0, 1, 2]
label_fractions = [1 / 16, 1]
compare_with = ['no pretraining']
tasks = {
    f'CamVid, {steps} steps':
    dict(
        _base_.camvid_task,
        options={
            **_base_.finetune_options,
            'train_cfg.max_iters': steps,
            'train_cfg.val_interval': steps,
            'default_hooks.checkpoint.interval': steps,
        })
    for steps in (150, 300, 600)
}
pretrainings = {
    'Mask-JEPA':
    dict(
        config='configs/mask_jepa_r18_tiny.py',
        options=_base_.pretrain_options),
}
arms = {
    'no pretraining': dict(),
    'Mask-JEPA': dict(pretraining='Mask-JEPA'),
    'Mask-JEPA, backbone only':
    dict(pretraining='Mask-JEPA', parts=['backbone']),
}
