"""How long is long on all of CamVid, from an ImageNet backbone?"""
_base_ = './camvid_full_labels.py'

label_fractions = [0.05]
tasks = {
    f'CamVid, {steps} steps':
    dict(
        _base_.tasks.CamVid,
        options={
            **_base_.finetune_options,
            'train_cfg.max_iters': steps,
            'train_cfg.val_interval': steps,
            'default_hooks.checkpoint.interval': steps,
        })
    for steps in (500, 1000)
}
tasks['_delete_'] = True
