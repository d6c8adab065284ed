import os.path as osp
import pickle
from typing import Any, Dict

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..utils import Nothing, load_without_objects

# What numbers a tensor can hold: truth values, integers and real numbers.
NUMBERS = 'biuf'
ARRAY_PARTS = {
    ('numpy', 'dtype'),
    ('numpy', 'ndarray'),
    ('numpy._core.multiarray', '_reconstruct'),
    ('numpy.core.multiarray', '_reconstruct'),
}


class ArraysOnlyUnpickler(pickle.Unpickler):
    """Builds arrays and containers; of all else there is Nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ARRAY_PARTS:
            return super().find_class(module, name)
        return Nothing


def load_foreign_weights(path: str) -> Dict[str, Tensor]:
    """Load the weights that another library wrote, and no object.

    Args:
        path (str): A folder or .safetensors file of Hugging Face, a .pth,
            .bin or .pkl file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no weights, or is not whole.
    """
    if osp.isdir(path):
        path = _weights_in_folder(path)
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no checkpoint at {path}.')
    if path.endswith('.safetensors'):
        content = _load_safetensors(path)
    elif path.endswith('.pkl'):
        content = _load_pickle(path)
    else:
        content = load_without_objects(path)
    weights = _find_weights(content)
    if not weights:
        raise ValueError(
            f'{path} holds no weights: give a file of named tensors, or one '
            'that has them under "state_dict" or "model".')
    return weights


def _weights_in_folder(folder: str) -> str:
    for name in ('model.safetensors', 'pytorch_model.bin'):
        path = osp.join(folder, name)
        if osp.isfile(path):
            return path
    raise FileNotFoundError(f'There is neither model.safetensors nor '
                            f'pytorch_model.bin in {folder}.')


def _load_safetensors(path: str) -> Dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f'{path} is no safetensors file, or not all of one: '
                         'give a whole one.') from error


def _load_pickle(path: str) -> Any:
    """Load what detectron2 publishes: numpy arrays in a pickle."""
    with open(path, 'rb') as file:
        try:
            return ArraysOnlyUnpickler(file, encoding='latin1').load()
        except Exception as error:  # A damaged file can end in any.
            raise ValueError(f'{path} is no pickle of arrays, or not all of '
                             'one: give a whole one.') from error


def _find_weights(content: Any) -> Dict[str, Tensor]:
    for key in ('state_dict', 'model'):
        inner = content.get(key) if isinstance(content, dict) else None
        content = inner if isinstance(inner, dict) else content
    if not isinstance(content, dict):
        return {}
    weights = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in NUMBERS:
            value = torch.from_numpy(np.array(value))
        if isinstance(name, str) and isinstance(value, Tensor):
            weights[name] = value
    return weights
