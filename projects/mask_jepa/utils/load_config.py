import os.path as osp

from mmengine.config import Config


def load_config(name: str) -> Config:
    """Load a config file, or one of an installed library.

    Args:
        name (str): Path, or 'library::config'.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if '::' in name:
        return Config.fromstring(f'_base_ = {name!r}', file_format='.py')
    if not osp.isfile(name):
        raise FileNotFoundError(f'There is no config file at {name}.')
    return Config.fromfile(name)
