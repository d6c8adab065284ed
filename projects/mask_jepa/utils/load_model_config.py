from mmengine.config import Config

from .load_config import load_config


def load_model_config(name: str) -> Config:
    """Load a config, and refuse one without a network.

    Args:
        name (str): As for :func:`load_config`.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no config, or has no model.
    """
    config = load_config(name)
    if not config.get('model'):
        raise ValueError(
            f'{name} describes no model: give a whole config, such as '
            'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py.')
    return config
