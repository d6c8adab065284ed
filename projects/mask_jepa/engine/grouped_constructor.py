from typing import Dict, List, Optional

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn
from torch.optim import Optimizer

from ..utils import left_out_of_log
from .layer_decay import decay_by_layer

# Already in the values that they multiply.
MULTIPLIERS = ('lr_mult', 'decay_mult')
# What mmengine says of each single tensor.
SAID_OF_TENSORS = ('paramwise_options -- ', 'its requires_grad=False')
FEW = 4  # groups, each of which a line can describe


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Let tensors with equal options share one parameter group.

    mmengine's constructor, whose arguments it takes, makes a group of each
    tensor, logs a line for each option of each tensor, and warns of each
    tensor without gradient: of the whole target. Here there are a few groups,
    each with a ``name``, and one line in the log; the weights learn as they
    would. Groups with the optimiser's own learning rate come first, since
    mmengine logs that of the first group as ``lr``.

    ``paramwise_cfg`` may hold mmpretrain's ``layer_decay_rate`` as well, of
    which :func:`decay_by_layer` tells.
    """

    def __init__(self,
                 optim_wrapper_cfg: dict,
                 paramwise_cfg: Optional[dict] = None) -> None:
        # Without any option, mmengine would also take tensors without
        # gradient.
        super().__init__(optim_wrapper_cfg, paramwise_cfg
                         or dict(custom_keys={}))

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build optimiser and wrapper for a model, be it wrapped or not."""
        optim_wrapper = super().__call__(model)
        # mmengine would log them as base_lr, but they are those of the first
        # group, and --auto-scale-lr forgets them.
        optim_wrapper.base_param_settings = None
        print_log(summarize(optim_wrapper.optimizer), logger='current')
        return optim_wrapper

    def add_params(self,
                   params: List[dict],
                   module: nn.Module,
                   prefix: str = '',
                   **kwargs) -> None:
        """Add the groups of a module, or of the whole model, to ``params``."""
        if prefix:
            super().add_params(params, module, prefix, **kwargs)
            return
        singles = []
        with left_out_of_log(*SAID_OF_TENSORS):
            super().add_params(singles, module, **kwargs)
        if 'layer_decay_rate' in self.paramwise_cfg:
            decay_by_layer(singles, module,
                           self.paramwise_cfg['layer_decay_rate'],
                           self.base_lr)
        params.extend(self._merge(singles))

    def _merge(self, singles: List[dict]) -> List[dict]:
        """Join groups with equal options."""
        groups = {}
        for single in singles:
            options = dict(lr=self.base_lr, weight_decay=self.base_wd)
            options.update(single)
            tensors = options.pop('params')
            options = {
                key: value
                for key, value in options.items()
                if key not in MULTIPLIERS and value is not None
            }
            group = groups.setdefault(
                repr(sorted(options.items())),
                dict(options, name=self._name(options), params=[]))
            group['params'] += tensors
        return sorted(
            groups.values(), key=lambda group: group.get('lr') != self.base_lr)

    def _name(self, options: Dict) -> str:
        """Tell groups apart, also after a schedule has changed them."""
        bases = dict(lr=self.base_lr, weight_decay=self.base_wd)
        values = {
            key: f'x {value / bases[key]:g}' if bases.get(key) else value
            for key, value in sorted(options.items())
        }
        return ', '.join(f'{key} {value}' for key, value in values.items())


def summarize(optimizer: Optimizer) -> str:
    """Say in one line what an optimiser trains."""
    groups = optimizer.param_groups
    total = sum(len(group['params']) for group in groups)
    start = (f'{type(optimizer).__name__} trains {total} tensors in '
             f'{len(groups)} group(s)')
    if len(groups) > FEW:
        rates = [group['lr'] for group in groups]
        return f'{start}, with lr from {min(rates):g} to {max(rates):g}.'
    parts = [
        '{} ({:,} numbers) with lr {:g} and weight decay {:g}'.format(
            len(group['params']),
            sum(tensor.numel() for tensor in group['params']), group['lr'],
            group.get('weight_decay', 0)) for group in groups
    ]
    return f'{start}: {"; ".join(parts)}.'
