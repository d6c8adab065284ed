import pickle
from types import SimpleNamespace
from typing import Any

# What tensors and state dicts are made of.
TENSOR_PARTS = {
    ('collections', 'OrderedDict'),
    ('torch', 'Size'),
    ('torch._utils', '_rebuild_parameter'),
    ('torch._utils', '_rebuild_tensor_v2'),
}
# What arrays are made of.
ARRAY_PARTS = {
    ('numpy', 'dtype'),
    ('numpy', 'ndarray'),
    ('numpy._core.multiarray', '_reconstruct'),
    ('numpy.core.multiarray', '_reconstruct'),
}


class Nothing:
    """Stands for an object that was not built; swallows all it is given."""

    def __new__(cls, *args, **kwargs) -> 'Nothing':
        return super().__new__(cls)

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
    """Builds tensors and plain containers, and imports nothing else."""

    parts = TENSOR_PARTS

    def find_class(self, module: str, name: str) -> Any:
        """Find what a tensor is made of.

        Args:
            module (str): Module that the file names.
            name (str): Name in it.

        Returns:
            Any: The object, or :class:`Nothing`.
        """
        is_dtype = module == 'torch' and name.endswith('Storage')
        if is_dtype or (module, name) in self.parts:
            return super().find_class(module, name)
        return Nothing


class ArraysOnlyUnpickler(TensorsOnlyUnpickler):
    """Builds arrays and plain containers, and imports nothing else."""

    parts = ARRAY_PARTS


# What torch.load takes for pickle. Checkpoints of mmengine 0.10's own hook
# hold HistoryBuffer objects beside the tensors, which weights_only refuses.
TENSORS_ONLY = SimpleNamespace(
    Unpickler=TensorsOnlyUnpickler,
    load=lambda file, **kwargs: TensorsOnlyUnpickler(file, **kwargs).load(),
    __name__='tensors_only')
