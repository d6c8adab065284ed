from mmengine.config import Config

from ..utils import load_config


def load_pretraining_config(name: str) -> Config:
    """Load a config, and refuse one that pretrains nothing.

    Args:
        name (str): As for :func:`~projects.mask_jepa.utils.load_config`.

    Returns:
        Config: The config.

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
