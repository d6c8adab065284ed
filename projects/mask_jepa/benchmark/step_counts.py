"""Count on a CPU what makes a GPU wait for the host, or the host for a GPU."""
import traceback
from collections import Counter
from contextlib import contextmanager
from typing import Callable, Iterator, Sequence
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
# A number of the device becomes one of Python.
READS = {aten._local_scalar_dense, aten.equal, aten.is_nonzero}
# The shape of the result depends on values.
SHAPES = {
    aten.nonzero, aten.masked_select, aten._unique, aten._unique2,
    aten.unique_dim, aten.unique_consecutive, aten.bincount
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
# From Python; on a CPU nothing of it reaches an operator.
DOWNLOADS = {torch.Tensor.cpu, torch.Tensor.tolist}
UPLOADS = {torch.Tensor.new_tensor}
MAY_UPLOAD = {torch.tensor, torch.as_tensor}


class StepCounts(TorchDispatchMode):
    """Host syncs and operator calls of a block, as a GPU would see them.

    A host sync is what makes the host wait for the device: a read of a number
    (``item``, ``int``, ``bool``, ``equal``); a shape that depends on values
    (``nonzero``, ``unique``, a boolean index); a copy to the host (``cpu``,
    ``tolist``, ``to('cpu')``); a copy of the host's memory to the device
    (``new_tensor``, ``from_numpy``, ``tensor`` and ``as_tensor`` with a
    device). ``numpy()`` is none: it takes only what is on the host already.
    Not seen are waits within an operator, and numbers that are on the host on
    a GPU as well count too, so this is an upper bound but for the former.

    An operator call is one that torch dispatches, but for views; it launches
    at least one kernel, as a rule. Autograd's backward pass counts if it runs
    in the block.

    Attributes:
        syncs (Counter): By the line of code that waits.
        operators (Counter): By the operator's name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.syncs, self.operators = Counter(), Counter()
        self._paused = False
        self._python_calls = _PythonCalls(self)
        # What is made from an array of numpy goes to the device.
        self._from_numpy = patch('torch.from_numpy',
                                 _counted(torch.from_numpy, self))

    def __enter__(self) -> 'StepCounts':
        self._from_numpy.__enter__()
        self._python_calls.__enter__()
        return super().__enter__()

    def __exit__(self, *exception) -> None:
        super().__exit__(*exception)
        self._python_calls.__exit__(*exception)
        self._from_numpy.__exit__(*exception)

    @property
    def num_syncs(self) -> int:
        """int: Host syncs."""
        return sum(self.syncs.values())

    @property
    def num_operators(self) -> int:
        """int: Operator calls."""
        return sum(self.operators.values())

    @contextmanager
    def no_syncs_of(self, *modules: nn.Module) -> Iterator[None]:
        """Count no host sync within these modules' forward pass."""
        handles = [
            register(lambda *_, paused=paused: self._pause(paused))
            for module in modules
            for register, paused in ((module.register_forward_pre_hook, True),
                                     (module.register_forward_hook, False))
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _pause(self, paused: bool) -> None:
        self._paused = paused

    def add_sync(self) -> None:
        """Count a host sync of the line of code that runs."""
        if self._paused:
            return
        frames = [
            frame for frame in traceback.extract_stack()
            if '/torch/' not in frame.filename and frame.filename != __file__
        ]
        self.syncs[f'{frames[-1].filename}:{frames[-1].lineno}'] += 1

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        packet = function.overloadpacket
        if not function.is_view:
            self.operators[str(packet)] += 1
        if (packet in READS or packet in SHAPES
                or (packet in INDEXING and has_boolean_index(args[1]))):
            self.add_sync()
        return function(*args, **(kwargs or {}))


class _PythonCalls(TorchFunctionMode):

    def __init__(self, counts: StepCounts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        to_host = function is torch.Tensor.to and 'cpu' in args[1:]
        from_host = (
            function in UPLOADS
            or function in MAY_UPLOAD and kwargs.get('device') is not None)
        if function in DOWNLOADS or to_host or from_host:
            self.counts.add_sync()
        return function(*args, **kwargs)


def _counted(function: Callable, counts: StepCounts) -> Callable:

    def call(*args, **kwargs):
        counts.add_sync()
        return function(*args, **kwargs)

    return call


def has_boolean_index(indices: Sequence[Tensor]) -> bool:
    """Whether the number of places that are indexed depends on values."""
    return any(
        index is not None and index.dtype in (torch.bool, torch.uint8)
        for index in indices)
