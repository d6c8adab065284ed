from mmengine.config import Config

# Those that mmengine's Runner has by itself, and drops where they are None.
RUNNER_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger',
                'param_scheduler', 'checkpoint')


def resolve_config(cfg: Config) -> None:
    """Settle what follows from other settings, before a Runner is built.

    A hook that is switched off by its name (``default_hooks.health=None``)
    goes, which mmengine's Runner does with its own hooks alone; the images
    for tests are cropped as those for training.

    Args:
        cfg (Config): The config of a pretraining; changed in place.
    """
    for name, hook in list(cfg.default_hooks.items()):
        if hook is None and name not in RUNNER_HOOKS:
            cfg.default_hooks.pop(name)
    crop_size = cfg.train_dataloader.dataset.get('crop_size')
    test_dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    if test_dataset and crop_size:
        test_dataset.setdefault('crop_size', crop_size)
