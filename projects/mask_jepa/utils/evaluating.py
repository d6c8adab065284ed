from contextlib import contextmanager
from typing import Iterator

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Keep a model in eval mode for a block.

    Args:
        model (nn.Module): Every module of it gets the mode back that it had.
    """
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode
