from mmengine.config import Config


def pretraining_config(checkpoint: dict) -> Config:
    """Read the config that a checkpoint was trained with.

    Args:
        checkpoint (dict): As loaded by
            :func:`~projects.mask_jepa.export.load_checkpoint`.

    Returns:
        Config: The config.

    Raises:
        ValueError: If the checkpoint holds none.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not text:
        raise ValueError(
            'The checkpoint does not say which network it is of: give a file '
            'that tools/train.py wrote, or name its config by --config.')
    return Config.fromstring(text, file_format='.py')
