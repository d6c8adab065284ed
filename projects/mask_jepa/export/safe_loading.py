import os.path as osp
import pickle
from typing import Any

import torch

from .tensors_only import TENSORS_ONLY


def load_without_objects(path: str) -> Any:
    """Load what ``torch.save`` wrote, on the CPU, and build no object.

    Args:
        path (str): File. If it holds objects, such as those that the stock
            tools of mmengine 0.10 write, the tensors and plain containers
            beside them are loaded.

    Returns:
        Any: The content.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``torch.save`` did not write it, or not all of it.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no checkpoint at {path}.')
    try:
        try:
            return torch.load(path, map_location='cpu', weights_only=True)
        except pickle.UnpicklingError:
            return torch.load(
                path,
                map_location='cpu',
                weights_only=False,
                pickle_module=TENSORS_ONLY)
    except OSError:
        raise
    except Exception as error:  # A damaged file can end in any.
        raise ValueError(
            f'{path} is no checkpoint of tensors and plain types, or not all '
            'of one: give a whole file, such as tools/train.py and '
            'tools/export_pretrained.py of Mask-JEPA write, or as libraries '
            'publish.') from error
