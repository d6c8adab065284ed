from typing import Type

import torch.nn as nn
from mmengine.registry import Registry

from .mask_classifier_adapter import MaskClassifierAdapter

# One adapter for each family of heads.
ADAPTERS = Registry('adapter of a mask classifier', scope='mask_jepa')


def find_adapter(head: nn.Module) -> Type[MaskClassifierAdapter]:
    """Find the adapter of a head's family.

    An adapter does what ``forward`` of its ``head_class`` does, so it fits
    the heads that inherit that method, and no others.

    Args:
        head (nn.Module): Mask classification head.

    Returns:
        type: The class; of several that fit, the one registered last.

    Raises:
        TypeError: If none fits.
    """
    fitting = [
        adapter for adapter in ADAPTERS.module_dict.values()
        if isinstance(head, adapter.head_class)
        and type(head).forward is adapter.head_class.forward
    ]
    if not fitting:
        known = ', '.join(adapter.head_class.__name__
                          for adapter in ADAPTERS.module_dict.values())
        raise TypeError(
            f'model.panoptic_head is a {type(head).__name__}, for which '
            f'there is no adapter (there is for {known}): write one with the '
            'verbs encode and decode, as '
            'docs/new_architecture.md shows.')
    return fitting[-1]
