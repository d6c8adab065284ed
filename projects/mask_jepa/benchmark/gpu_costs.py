"""What only a GPU can tell of a step."""
import warnings
from collections import Counter
from pathlib import Path
from typing import Dict

import torch
from torch.profiler import ProfilerActivity, profile

from .costs import state_bytes
from .training_step import TrainingStep

LONGEST = 12  # kernels and places that are named


def gpu_costs(step: TrainingStep, milliseconds: float) -> Dict[str, object]:
    """Count what a step costs the host and the GPU.

    Args:
        step (TrainingStep): That has taken steps before.
        milliseconds (float): Of a step among others in a row.

    Returns:
        dict: ``peak_gb``, without the weights of others in the same process;
        ``host_syncs`` of the whole step with the copies of the batch,
        ``kernels``, the share of the time in which the GPU works, and the
        longest kernels.
    """
    torch.cuda.synchronize()
    state = state_bytes(step.model, step.optim_wrapper)
    state -= sum(each.numel() * each.element_size()  # there are no gradients
                 for each in step.model.parameters() if each.requires_grad)
    others = max(torch.cuda.memory_allocated() - state, 0)
    torch.cuda.reset_peak_memory_stats()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        torch.cuda.set_sync_debug_mode('warn')
        try:
            step.take()
        finally:
            torch.cuda.set_sync_debug_mode('default')
    places = Counter(
        f'{"/".join(Path(warning.filename).parts[-2:])}:{warning.lineno}'
        for warning in caught if 'synchroniz' in str(warning.message))
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - others
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        step.take()
        torch.cuda.synchronize()
    # Spans such as Optimizer.step#AdamW.step are no kernels.
    kernels = [
        event for event in profiled.events()
        if str(event.device_type).endswith('CUDA') and '#' not in event.name
    ]
    longest: Counter = Counter()
    for event in kernels:
        longest[event.name[:70]] += event.device_time_total / 1000
    busy = sum(longest.values())
    return dict(
        peak_gb=round(peak / 2**30, 2),
        host_syncs=sum(places.values()),
        host_sync_places=places.most_common(LONGEST),
        kernels=len(kernels),
        gpu_busy_ms=round(busy, 1),
        gpu_busy_share=round(busy / milliseconds, 2),
        longest_kernels_ms=[(name, round(total, 2))
                            for name, total in longest.most_common(LONGEST)])
