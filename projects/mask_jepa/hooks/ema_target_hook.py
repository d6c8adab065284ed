import math

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..utils import is_logged, log_scalars, require_share, unwrap


@HOOKS.register_module()
class EMATargetHook(Hook):
    r"""Move the target after each step of the optimiser.

    .. math:: \tau_s = \tau_{end} - (\tau_{end} - \tau_{begin}) \,
              \frac{1 + \cos(\pi s / S)}{2}

    for the s-th of S steps, counted from 0. It counts steps of the
    *optimiser*, so gradient accumulation changes nothing, and depends on the
    iteration alone, so a resume is exact. Paper: exponential moving average;
    the schedule (ours) is that of BYOL and I-JEPA.

    Note:
        As in the paper, :math:`\tau` is the share of the target that stays;
        mmengine's ``ExponentialMovingAverage`` calls :math:`1 - \tau`
        momentum.

    Args:
        begin_momentum (float): :math:`\tau` at the first step, in [0, 1].
            Defaults to 0.996.
        end_momentum (float): :math:`\tau` at the end, in [0, 1].
            Defaults to 1.0.

    Raises:
        ValueError: If a momentum lies outside [0, 1].
    """

    priority = 'NORMAL'

    def __init__(self,
                 begin_momentum: float = 0.996,
                 end_momentum: float = 1.0) -> None:
        require_share('EMATargetHook.begin_momentum', begin_momentum)
        require_share('EMATargetHook.end_momentum', end_momentum)
        self.begin_momentum = begin_momentum
        self.end_momentum = end_momentum

    def before_train(self, runner: Runner) -> None:
        """Refuse a second hook, which would move the target twice."""
        require_one_target_hook(runner)
        unwrap(runner.model).target_moves = True

    def momentum(self, step: int, num_steps: int) -> float:
        r"""Evaluate :math:`\tau_s` for step s of the S steps."""
        remaining = (1 + math.cos(math.pi * step / num_steps)) / 2
        span = self.end_momentum - self.begin_momentum
        return self.end_momentum - span * remaining

    def after_train_iter(self, runner: Runner, **kwargs) -> None:
        """Update the target if the optimiser has stepped."""
        accumulated = runner.optim_wrapper._accumulative_counts
        momentum = self.momentum(runner.iter // accumulated,
                                 math.ceil(runner.max_iters / accumulated))
        if runner.optim_wrapper.should_update():
            unwrap(runner.model).update_target(momentum)
        if is_logged(runner):
            log_scalars(runner, 'ema', dict(momentum=momentum))


def require_one_target_hook(runner: Runner) -> None:
    """Raise a ValueError if the target would stand still, or move twice."""
    count = sum(isinstance(hook, EMATargetHook) for hook in runner.hooks)
    if count == 0:
        raise ValueError(
            'The target would never move: there is no EMATargetHook. Inherit '
            'default_hooks.target from configs/_base_/pretraining.py, or set '
            'default_hooks.target=dict(type="EMATargetHook").')
    if count > 1:
        raise ValueError(
            f'The target would move {count} times a step: there are {count} '
            'EMATargetHooks. It is default_hooks.target now; take the '
            'hooks of Mask-JEPA out of custom_hooks.')
