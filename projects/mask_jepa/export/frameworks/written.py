from collections import Counter
from typing import Dict, NamedTuple

from torch import Tensor


class Written(NamedTuple):
    """What a file holds, and what its framework has no place for.

    Attributes:
        weights (dict[str, Tensor]): Named as in the framework.
        without_place (Counter): Number of our tensors that it has no place
            for, by name, with ``*`` where the names of several differ.
    """

    weights: Dict[str, Tensor]
    without_place: Counter
