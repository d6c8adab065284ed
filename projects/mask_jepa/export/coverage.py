from collections import defaultdict
from typing import Dict, List, NamedTuple

import torch
from torch import Tensor, nn


class ModuleCoverage(NamedTuple):
    """How much of a module came from a file.

    Attributes:
        module (str): Name, two levels deep, e.g. 'decode_head.mask_embed'.
        expected (int): Tensors that the file promises to the module.
        loaded (int): Of these, tensors that the model has in that shape.
        equal (int): Of these, tensors that are equal to the file, bit for
            bit.
        other (int): Tensors of the module that the file does not hold.
    """

    module: str
    expected: int
    loaded: int
    equal: int
    other: int


def coverage_report(model: nn.Module,
                    weights: Dict[str, Tensor]) -> List[ModuleCoverage]:
    """Compare an initialised model with a file, tensor by tensor.

    Args:
        model (nn.Module): After ``init_weights``.
        weights (dict[str, Tensor]): The file's state dict.

    Returns:
        list[ModuleCoverage]: One for each module, in order of name.
    """
    own = model.state_dict()
    counts = defaultdict(lambda: [0, 0, 0, 0])
    for key, value in weights.items():
        count = counts[_module_of(key)]
        count[0] += 1
        if key in own and own[key].shape == value.shape:
            count[1] += 1
            count[2] += torch.equal(own[key].cpu(), value.to(own[key].dtype))
    for key in own.keys() - weights.keys():
        counts[_module_of(key)][3] += 1
    return [ModuleCoverage(name, *counts[name]) for name in sorted(counts)]


def _module_of(key: str) -> str:
    """Name the first two levels; the backbone counts as one module."""
    parts = key.split('.')[:-1]
    return parts[0] if parts[0] == 'backbone' else '.'.join(parts[:2])
