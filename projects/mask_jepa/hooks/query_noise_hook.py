import math
from typing import Union

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..utils import is_logged, log_scalars, require_share, unwrap


@HOOKS.register_module()
class QueryNoiseHook(Hook):
    r"""Schedule the share of noise :math:`\sigma` in the queries.

    :math:`\sigma` goes from ``start`` to ``end`` between two iterations and
    stays constant before and after. A constant 1 is the paper's "random
    queries"; a falling one trains the learned queries too (ours).

    Args:
        schedule (str): 'constant' (stays at ``start``), 'linear' or
            'cosine'. Defaults to 'constant'.
        start (float): :math:`\sigma` at ``begin_iter``, in [0, 1].
            Defaults to 1.0.
        end (float): :math:`\sigma` at ``end_iter``, in [0, 1].
            Defaults to 0.0.
        begin_iter (int): Where the change begins. Defaults to 0.
        end_iter (int | float, optional): Where it ends: an iteration, or,
            as a float in (0, 1], a share of the training; None is the end of
            training. Defaults to None.

    Raises:
        ValueError: If an argument lies outside its range; of an ``end_iter``
            that depends on the length of the training, when it begins.
    """

    def __init__(self,
                 schedule: str = 'constant',
                 start: float = 1.0,
                 end: float = 0.0,
                 begin_iter: int = 0,
                 end_iter: Union[int, float, None] = None) -> None:
        if schedule not in ('constant', 'linear', 'cosine'):
            raise ValueError(
                'QueryNoiseHook.schedule must be "constant", "linear" or '
                f'"cosine", but is {schedule!r}.')
        require_share('QueryNoiseHook.start', start)
        require_share('QueryNoiseHook.end', end)
        if isinstance(end_iter, float) and not 0 < end_iter <= 1:
            raise ValueError(
                'QueryNoiseHook.end_iter must be a whole number of '
                'iterations, or a share of the training in (0, 1], but is '
                f'{end_iter}.')
        if isinstance(end_iter, int) and end_iter <= begin_iter:
            raise ValueError(
                f'QueryNoiseHook.end_iter={end_iter} must lie after '
                f'begin_iter={begin_iter}.')
        self.schedule = schedule
        self.start = start
        self.end = end
        self.begin_iter = begin_iter
        self.end_iter = end_iter

    def sigma(self, iteration: int, max_iters: int) -> float:
        r"""Evaluate :math:`\sigma` after so many of all iterations."""
        if self.schedule == 'constant':
            return self.start
        length = self._resolve_end(max_iters) - self.begin_iter
        progress = min(max((iteration - self.begin_iter) / length, 0.0), 1.0)
        if self.schedule == 'cosine':
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.start + (self.end - self.start) * progress

    def _resolve_end(self, max_iters: int) -> float:
        if self.end_iter is None:
            return max_iters
        if isinstance(self.end_iter, float):
            return self.end_iter * max_iters
        return self.end_iter

    def before_train(self, runner: Runner) -> None:
        """Raise a ValueError if the change would end before it begins."""
        end_iter = self._resolve_end(runner.max_iters)
        if self.schedule != 'constant' and end_iter <= self.begin_iter:
            raise ValueError(
                f'QueryNoiseHook.begin_iter={self.begin_iter} must lie before '
                f'the end of the change, which is {end_iter:.0f} of '
                f'{runner.max_iters} iterations: lower it, or set end_iter.')

    def before_train_iter(self, runner: Runner, **kwargs) -> None:
        r"""Set :math:`\sigma` for this iteration."""
        model = unwrap(runner.model)
        sigma = self.sigma(runner.iter, runner.max_iters)
        model.random_queries.set_sigma(sigma)
        if is_logged(runner):
            log_scalars(runner, 'queries', dict(sigma=sigma))
