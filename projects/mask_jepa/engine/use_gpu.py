from typing import Optional

import torch
from mmengine.config import Config

from .config_pairs import has_timm_backbone


def use_gpu(cfg: Config, amp: Optional[bool] = None) -> None:
    """Choose what only makes a GPU faster, and nothing on a CPU.

    Mixed precision, TF32 for the matrix products that stay in float32, the
    fastest algorithm of each convolution (crops are of one size) in the
    memory layout of tensor cores, and batch statistics, if any, over all
    processes. What the config sets itself stays.

    Args:
        cfg (Config): The config of the run; changed in place.
        amp (bool, optional): Mixed precision; None: where the GPU has
            bfloat16. Defaults to None.

    Raises:
        ValueError: If mixed precision is asked for without a GPU.
    """
    if not torch.cuda.is_available():
        if amp:
            raise ValueError('--amp needs a GPU, and torch sees none: leave '
                             'it out.')
        return
    use_mixed_precision(cfg, amp)
    torch.set_float32_matmul_precision('high')
    cfg.env_cfg.cudnn_benchmark = True
    if cfg.model.type.split('.')[-1] == 'MaskJEPA':
        cfg.model.setdefault('channels_last', True)
    if cfg.get('sync_bn') is None and not has_timm_backbone(cfg):
        cfg.sync_bn = 'torch'  # of several processes; one has none


def use_mixed_precision(cfg: Config, amp: Optional[bool]) -> None:
    """Let the optimiser of a config work with mixed precision, or not.

    An optim_wrapper other than MMEngine's plain one stays as it is, unless
    ``amp`` is False.
    """
    wrapper = cfg.optim_wrapper
    if amp is False and wrapper.get('type') == 'AmpOptimWrapper':
        wrapper.type = 'OptimWrapper'
        for key in ('dtype', 'loss_scale', 'use_fsdp'):
            wrapper.pop(key, None)
    # Emulated, as on GPUs before Ampere, it would only be slow.
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    amp = has_bfloat16 if amp is None else amp
    if amp and wrapper.get('type', 'OptimWrapper') == 'OptimWrapper':
        wrapper.type = 'AmpOptimWrapper'
        if has_bfloat16:
            wrapper.dtype = 'bfloat16'
            # Its range is that of float32: a loss scale would grow until it
            # overflows.
            wrapper.loss_scale = dict(enabled=False)
    if scales_loss(wrapper) and wrapper.get('clip_grad'):
        # While float16 looks for its loss scale, gradients may overflow; the
        # scaler skips those steps.
        wrapper.clip_grad.error_if_nonfinite = False


def scales_loss(wrapper: dict) -> bool:
    """Tell whether an optim_wrapper looks for a loss scale as it trains."""
    scale = wrapper.get('loss_scale', 'dynamic')
    if isinstance(scale, dict):
        scale = 'dynamic' if scale.get('enabled', True) else 1.0
    return wrapper.get('type') == 'AmpOptimWrapper' and scale == 'dynamic'
