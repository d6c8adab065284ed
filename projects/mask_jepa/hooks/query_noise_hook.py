import math
from typing import Union

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from ..utils import unwrap


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
        end_iter (int | float, optional): Where it ends; a share of the
            training if below 1; None is the end of training.
            Defaults to None.

    Raises:
        ValueError: If an argument lies outside its range.
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
        for name, value in dict(start=start, end=end).items():
            if not 0 <= value <= 1:
                raise ValueError(f'QueryNoiseHook.{name} must lie in [0, 1], '
                                 f'but is {value}.')
        if end_iter is not None and not (0 < end_iter < 1
                                         or end_iter > begin_iter):
            raise ValueError(
                f'QueryNoiseHook.end_iter={end_iter} must lie after '
                f'begin_iter={begin_iter}.')
        self.schedule = schedule
        self.start = start
        self.end = end
        self.begin_iter = begin_iter
        self.end_iter = end_iter

    def sigma(self, iteration: int, max_iters: int) -> float:
        r"""Evaluate the schedule.

        Args:
            iteration (int): Iterations before this one.
            max_iters (int): Iterations in the whole training.

        Returns:
            float: :math:`\sigma`, in [0, 1].
        """
        if self.schedule == 'constant':
            return self.start
        end_iter = max_iters if self.end_iter is None else self.end_iter
        if end_iter < 1:
            end_iter = end_iter * max_iters
        length = max(end_iter - self.begin_iter, 1)
        progress = min(max((iteration - self.begin_iter) / length, 0.0), 1.0)
        if self.schedule == 'cosine':
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.start + (self.end - self.start) * progress

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        r"""Set :math:`\sigma` for this iteration.

        Args:
            runner (Runner): The runner of the training process.
            batch_idx (int): Index of the batch.
            data_batch (dict, optional): The batch.
        """
        model = unwrap(runner.model)
        sigma = self.sigma(runner.iter, runner.max_iters)
        model.random_queries.set_sigma(sigma)
        runner.message_hub.update_scalar('train/sigma', sigma)
