import time
from collections import defaultdict
from typing import Callable, Dict, List

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

PART_PREFIXES = {
    'backbone.': 'backbone',
    'neck.': 'backbone',
    'panoptic_head.pixel_decoder.': 'pixel_decoder',
    'panoptic_head.': 'transformer_decoder',
    '': 'pretraining_parts'
}


def parameters_by_part(model: nn.Module) -> Dict[str, List[nn.Parameter]]:
    """Sort the trained parameters of a MaskJEPA by the part that they are of.

    ``pretraining_parts`` are thrown away after pretraining.
    """
    parts = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            prefix = next(filter(name.startswith, PART_PREFIXES))
            parts[PART_PREFIXES[prefix]].append(parameter)
    return dict(parts)


def total_norm(tensors: List[Tensor]) -> Tensor:
    """Measure the L2 norm of all values of tensors, if any, together."""
    if not tensors:
        return torch.zeros(())
    norms = torch._foreach_norm([tensor.float() for tensor in tensors])
    return torch.stack(norms).norm()


class StepWatch:
    """Looks at single steps of the optimiser, when it is asked to.

    The gradients are gone when mmengine's hooks run, so torch's own hooks on
    the optimiser are used.

    Args:
        model (nn.Module): A MaskJEPA.
        optimizer (Optimizer): What trains it.
        report (Callable): Called after a step that was looked at, with the
            seconds that looking took and, before them, for each part of
            :func:`parameters_by_part`, ``gradient_<part>``, the norm of the
            gradient after clipping, and ``update_ratio_<part>``, the norm of
            the change of the weights relative to theirs.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer,
                 report: Callable[[Dict[str, float], float], None]) -> None:
        self.parts = parameters_by_part(model)
        self.report = report
        self.is_armed = False
        optimizer.register_step_pre_hook(self._before_step)
        optimizer.register_step_post_hook(self._after_step)

    def look_at_next_step(self) -> None:
        """Measure the next step, whenever the optimiser takes it."""
        self.is_armed = True

    @torch.no_grad()
    def _before_step(self, *_) -> None:
        if not self.is_armed:
            return
        begin = time.perf_counter()
        self.values, self.before = {}, {}
        for part, parameters in self.parts.items():
            self.values[f'gradient_{part}'] = total_norm(
                [each.grad for each in parameters if each.grad is not None])
            self.before[part] = [each.clone() for each in parameters]
        self.seconds = time.perf_counter() - begin

    @torch.no_grad()
    def _after_step(self, *_) -> None:
        if not self.is_armed:
            return
        self.is_armed = False
        begin = time.perf_counter()
        for part, parameters in self.parts.items():
            before = self.before[part]
            change = total_norm(torch._foreach_sub(parameters, before))
            weight = total_norm(before).clamp(min=1e-12)
            self.values[f'update_ratio_{part}'] = change / weight
        del self.before
        values = {name: float(value) for name, value in self.values.items()}
        self.report(values, self.seconds + time.perf_counter() - begin)
