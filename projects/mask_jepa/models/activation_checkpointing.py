from functools import partial
from operator import attrgetter
from typing import Iterator, Sequence

import torch.nn as nn
from torch.utils.checkpoint import checkpoint

LISTS = (nn.ModuleList, nn.Sequential)


def checkpoint_activations(model: nn.Module, names: Sequence[str]) -> None:
    """Compute the activations of some modules again in the backward pass.

    They need not be kept until then (Chen et al., `Training Deep Nets with
    Sublinear Memory Cost <https://arxiv.org/abs/1604.06174>`_). Losses,
    gradients and the random numbers of dropout stay the same; statistics of
    batch norm that learns move twice a step. What mmengine's
    ``turn_on_activation_checkpointing`` does, but for modules that are called
    by keyword as well, and for those whose input, as an image, needs no
    gradient: mmengine's would leave their weights without one.

    Args:
        model (nn.Module): Changed in place; the names of its weights are not.
        names (Sequence[str]): Modules, as 'panoptic_head.transformer_decoder'.
            Of one with lists of layers, each layer is computed by itself.

    Raises:
        ValueError: If there is no such module.
    """
    for name in names:
        try:
            module = attrgetter(name)(model)
        except AttributeError as error:
            raise ValueError(
                f'activation_checkpointing names {name}, which the model does '
                'not have.') from error
        for layer in layers_of(module):
            layer.forward = partial(
                checkpoint, layer.forward, use_reentrant=False)


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """Find the layers in a module's own lists; without any, it is one."""
    if isinstance(module, LISTS):
        for member in module:
            if isinstance(member, LISTS):
                yield from layers_of(member)
            else:
                yield member
        return
    lists = [each for each in module.children() if isinstance(each, LISTS)]
    if not lists:
        yield module
    for each in lists:
        yield from layers_of(each)
