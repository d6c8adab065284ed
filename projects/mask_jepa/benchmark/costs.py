"""Arithmetic and memory of a step."""
import statistics
from math import prod
from typing import Callable
from unittest.mock import patch

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import (FlopCounterMode,
                                      sdpa_backward_flop_count,
                                      sdpa_flop_count)

aten = torch.ops.aten
# Of a bilinear sample: four places, each multiplied and added.
FLOPS_OF_SAMPLE = 8


def _sampling_flops(*args, out_shape: tuple, **kwargs) -> int:
    return FLOPS_OF_SAMPLE * prod(out_shape)


def _sampling_backward_flops(grad_shape: tuple, *args, **kwargs) -> int:
    # Gradients of the map and of the places.
    return 2 * FLOPS_OF_SAMPLE * prod(grad_shape)


def _attention_flops(*shapes, **kwargs) -> int:
    return sdpa_flop_count(*shapes[:3])


def _attention_backward_flops(*shapes, **kwargs) -> int:
    return sdpa_backward_flop_count(*shapes[:4])


# What torch's counter does not know.
FORMULAS = {
    aten.grid_sampler_2d:
    _sampling_flops,
    aten.grid_sampler_2d_backward:
    _sampling_backward_flops,
    aten._scaled_dot_product_flash_attention_for_cpu:
    _attention_flops,
    aten._scaled_dot_product_flash_attention_for_cpu_backward:
    _attention_backward_flops
}


def count_flops(function: Callable[[], None]) -> int:
    """Count the floating-point operations of a function.

    Those of matrix products, convolutions, attention and bilinear samples, a
    multiplication and an addition being two; what is elementwise is left out.
    Deformable attention is counted in its form in torch, on a GPU too, since
    no counter sees what compiled kernels do.
    """
    with patch('mmcv.ops.multi_scale_deform_attn.IS_CUDA_AVAILABLE', False), \
            patch('mask_jepa.models.deformable_attention.'
                  'resolve_operator', lambda *_: 'torch'), \
            FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        function()
    return counter.get_total_flops()


def bytes_kept_for_backward(forward: Callable[[], Tensor]) -> int:
    """Measure what a forward pass makes that lives on until the backward pass.

    Memory that several tensors share counts once; what was there before, such
    as weights and images, does not count.
    """
    with _LivingStorages() as living:
        result = forward()
    kept = living.nbytes()
    del result
    return kept


class _LivingStorages(TorchDispatchMode):
    """Memory of the tensors that operators have made, while it lives."""

    def __init__(self) -> None:
        super().__init__()
        self._made = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        if function.is_view:
            return output
        for tensor in filter(torch.is_tensor, tree_leaves(output)):
            storage = tensor.untyped_storage()
            reference = StorageWeakRef(storage)
            self._made[reference.cdata] = reference, storage.nbytes()
        return output

    def nbytes(self) -> int:
        return sum(size for reference, size in self._made.values()
                   if not reference.expired())


def state_bytes(model: nn.Module, optim_wrapper: OptimWrapper) -> int:
    """Sum weights, buffers, gradients and the state of the optimiser."""
    tensors = [*model.parameters(), *model.buffers()]
    # A gradient is as large as its weight.
    tensors += [each for each in model.parameters() if each.requires_grad]
    for state in optim_wrapper.optimizer.state.values():
        tensors += [each for each in state.values() if torch.is_tensor(each)]
    return sum(each.numel() * each.element_size() for each in tensors)


def usable_tflops(device: torch.device, dtype: torch.dtype,
                  seconds_of: Callable[[Callable], float]) -> float:
    """Measure how fast this machine multiplies large matrices.

    Args:
        device (torch.device): Where.
        dtype (torch.dtype): Of the matrices.
        seconds_of (Callable): Times a function, in seconds.
    """
    side = 8192 if device.type == 'cuda' else 1024
    matrix = torch.randn(side, side, device=device).to(dtype)
    seconds = [seconds_of(lambda: matrix @ matrix) for _ in range(10)]
    return 2 * side**3 / statistics.median(seconds[2:]) / 1e12
