import os.path as osp
import pickle
from types import SimpleNamespace
from typing import Any

import torch

from ..utils import require_whole


class Nothing:
    """Stands for an object that was not built; swallows all it is given."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __call__(self, *args, **kwargs) -> 'Nothing':
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Swallow a value."""

    def extend(self, values: Any) -> None:
        """Swallow values."""


class TensorsOnlyUnpickler(pickle.Unpickler):
    """Builds tensors and containers; of all else there is :class:`Nothing`."""

    parts = {
        ('collections', 'OrderedDict'),
        ('torch', 'Size'),
        ('torch._utils', '_rebuild_parameter'),
        ('torch._utils', '_rebuild_tensor_v2'),
    }

    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == 'torch' and name.endswith('Storage')
        if is_dtype or (module, name) in self.parts:
            return super().find_class(module, name)
        return Nothing


class ArraysOnlyUnpickler(TensorsOnlyUnpickler):
    """The same for arrays."""

    parts = {
        ('numpy', 'dtype'),
        ('numpy', 'ndarray'),
        ('numpy._core.multiarray', '_reconstruct'),
        ('numpy.core.multiarray', '_reconstruct'),
    }


# What torch.load takes for pickle. Checkpoints of mmengine 0.10's own hook
# hold HistoryBuffer objects beside the tensors, which weights_only refuses.
TENSORS_ONLY = SimpleNamespace(
    Unpickler=TensorsOnlyUnpickler,
    load=lambda file, **kwargs: TensorsOnlyUnpickler(file, **kwargs).load(),
    __name__='tensors_only')


def load_without_objects(path: str) -> Any:
    """Load what ``torch.save`` wrote, on the CPU, and build no object.

    If the file holds objects, such as those that the stock tools of mmengine
    0.10 write, the tensors and plain containers beside them are loaded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``torch.save`` did not write it, or not as it is now.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no checkpoint at {path}.')
    require_whole(path)
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
