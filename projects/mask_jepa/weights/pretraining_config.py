from mmengine.config import Config

from ..utils import load_config, parse_plain_config


def load_pretraining_config(name: str) -> Config:
    """Load a config, and refuse one that pretrains nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no config, or its model is no MaskJEPA.
    """
    config = load_config(name)
    model = config.get('model')
    model_type = model.get('type') if isinstance(model, dict) else None
    if str(model_type).split('.')[-1] != 'MaskJEPA':
        raise ValueError(f'{name} is no pretraining config: give one such as '
                         'configs/mask_jepa_r50_coco.py.')
    return config


def pretraining_config(checkpoint: dict) -> Config:
    """Read the config that a checkpoint was trained with, and run nothing.

    Not even its ``custom_imports`` are made.

    Raises:
        ValueError: If the checkpoint holds none, or one that does more than
            give names to plain values.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not text:
        raise ValueError(
            'The checkpoint does not say which network it is of: give a file '
            'that tools/train.py wrote, or name its config by --config.')
    try:
        return parse_plain_config(text)
    except ValueError as error:
        raise ValueError(
            'The config in the checkpoint is more than plain values, and '
            'would have to be run: name the config by --config.') from error
