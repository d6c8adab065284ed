import os
import os.path as osp
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Iterator, Optional, Sequence

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

KINDS = ('.py', '.json', '.yaml', '.yml')
PACKAGE = osp.dirname(osp.dirname(osp.realpath(__file__)))
# Where an installed copy has the configs, for mim as well, and a clone.
CONFIGS = (osp.join(PACKAGE, '.mim', 'configs'),
           osp.join(osp.dirname(osp.dirname(PACKAGE)), 'configs'))


def find_config(name: str) -> str:
    """Find one of our configs by its name, or by the backbone alone, which is
    that for images of one's own; what is a file already, or is not found,
    stays as it is."""
    if osp.isfile(name):
        return name
    candidates = (
        osp.join(folder, f'{prefix}{name}{ending}') for folder in CONFIGS
        for prefix in ('', 'mask_jepa_')
        for ending in ('', '.py', '_custom.py'))
    return next(filter(osp.isfile, candidates), name)


@contextmanager
def finding_mmseg() -> Iterator[None]:
    """Let mmengine find `mmseg::` by its module, whatever the distribution is
    called."""
    distribution = MODULE2PACKAGE['mmseg']
    MODULE2PACKAGE['mmseg'] = 'mmseg'
    try:
        yield
    finally:
        MODULE2PACKAGE['mmseg'] = distribution


@finding_mmseg()
def load_config(name: str,
                options: Optional[dict] = None,
                **data: Optional[Sequence[str]]) -> Config:
    """Load a config file, or one of an installed library.

    Args:
        name (str): Path, 'library::config', or as of :func:`find_config`.
        options (dict, optional): Settings to override, by dotted keys.
        **data (Sequence[str], optional): Sources of images, by the split
            ('train' or 'test') that they are for.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind or cannot be read, or the
            options do not fit it.
    """
    name = find_config(os.fspath(name))
    if '::' in name:
        try:
            config = Config.fromstring(f'_base_ = {name!r}', file_format='.py')
        except (AssertionError, FileNotFoundError, ImportError,
                ValueError) as error:
            raise FileNotFoundError(
                f'No installed library has a config {name}: name one such as '
                'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py.'
            ) from error
    elif not osp.isfile(name):
        raise FileNotFoundError(f'There is no config file at {name}.')
    elif not name.endswith(KINDS):
        raise ValueError(f'{name} is no config: give a file that ends in one '
                         f'of {", ".join(KINDS)}.')
    else:
        try:
            config = Config.fromfile(name)
        except FileNotFoundError:
            raise  # It names a file that the config inherits.
        except Exception as error:  # It is a program.
            raise ValueError(f'{name} cannot be read as a config '
                             f'({_first_line(error)}): mend it.') from error
    try:
        config.merge_from_dict(options or {})
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError('--cfg-options does not fit the config '
                         f'({_first_line(error)}).') from error
    for split, sources in data.items():
        if sources:
            dataset = (config.get(f'{split}_dataloader') or {}).get('dataset')
            if not dataset or 'UnlabeledImageDataset' not in str(
                    dataset.get('type')):
                raise ValueError(
                    f'--data is for {split}_dataloader.dataset.type='
                    "'UnlabeledImageDataset': set the paths of another one in "
                    'the config.')
            dataset.data_root = list(sources)
    return config


def _first_line(error: Exception) -> str:
    line, *_ = str(error).strip().split('\n')
    return f'{type(error).__name__}: {line}'


def load_model_config(name: str, options: Optional[dict] = None) -> Config:
    """As :func:`load_config`, but a ValueError if there is no model."""
    config = load_config(name, options)
    if not config.get('model'):
        raise ValueError(
            f'{name} describes no model: give a whole config, such as '
            'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py.')
    return config


def require_share(name: str, value: float, below_one: bool = False) -> None:
    """Raise a ValueError unless a setting lies in [0, 1], or in [0, 1)."""
    if not 0 <= value <= 1 or (below_one and value == 1):
        bounds = '[0, 1)' if below_one else '[0, 1]'
        raise ValueError(f'{name} must lie in {bounds}, but is {value}.')


def stock_tool(library: str, name: str) -> str:
    """Find a tool, say 'train.py', of mmdet, mmseg or mmpretrain."""
    package = osp.dirname(find_spec(library).origin)
    return osp.join(package, '.mim', 'tools', name)
