import os.path as osp
import pickle
from typing import Dict

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from .files import load_checkpoint
from .tensors_only import ArraysOnlyUnpickler


def load_foreign_weights(path: str) -> Dict[str, Tensor]:
    """Load the weights that another library wrote, and no object.

    Args:
        path (str): A folder or .safetensors file of Hugging Face, a .pth,
            .bin or .pkl file.

    Returns:
        dict[str, Tensor]: The weights.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no weights.
    """
    if osp.isdir(path):
        path = _weights_in_folder(path)
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no checkpoint at {path}.')
    if path.endswith('.safetensors'):
        return load_file(path)
    if path.endswith('.pkl'):
        return _load_pickle(path)
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
        # A checkpoint of OpenMMLab's stock tools, with objects beside.
        content = load_checkpoint(path)
    for key in ('state_dict', 'model'):
        content = content.get(key, content)
    weights = {
        name: value
        for name, value in content.items() if isinstance(value, Tensor)
    }
    if not weights:
        raise ValueError(f'{path} holds no weights.')
    return weights


def _weights_in_folder(folder: str) -> str:
    for name in ('model.safetensors', 'pytorch_model.bin'):
        path = osp.join(folder, name)
        if osp.isfile(path):
            return path
    raise FileNotFoundError(f'There is neither model.safetensors nor '
                            f'pytorch_model.bin in {folder}.')


def _load_pickle(path: str) -> Dict[str, Tensor]:
    """Load what detectron2 publishes: numpy arrays in a pickle."""
    try:
        with open(path, 'rb') as file:
            content = ArraysOnlyUnpickler(file, encoding='latin1').load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f'{path} is no pickle of arrays.') from error
    content = content.get('model', content)
    return {
        name: torch.from_numpy(np.array(value))
        for name, value in content.items() if isinstance(value, np.ndarray)
    }
