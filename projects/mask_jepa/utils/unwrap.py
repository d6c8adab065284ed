from mmengine.model import is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> nn.Module:
    """Take a model out of the wrapper of distributed training.

    Args:
        model (nn.Module): A Runner's model.

    Returns:
        nn.Module: The model itself.
    """
    return model.module if is_model_wrapper(model) else model
