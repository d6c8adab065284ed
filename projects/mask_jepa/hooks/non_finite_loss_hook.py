import math
import os.path as osp
from typing import Dict, Tuple

import mmengine
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from torch import Tensor

from ..utils import unwrap


class NonFiniteLossError(RuntimeError):
    """A loss is infinite or not a number."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop before a non-finite loss reaches the optimiser.

    mmengine's ``CheckInvalidLossHook`` looks after the optimiser's step, when
    the weights are spoilt and may have been saved. This hook looks at the
    losses before the backward pass, names the iteration and the term, and
    saves the names of the batch's images for replay. (A finite loss with a
    non-finite gradient is caught by
    ``clip_grad=dict(error_if_nonfinite=True)``.)

    A GPU waits once a step for that look, which is also the logger's: the
    model returns its logged values as numbers of Python, that mmengine would
    read one by one.
    """

    def before_train(self, runner: Runner) -> None:
        """Watch what the model returns."""
        self._model = unwrap(runner.model)
        parse_losses = self._model.parse_losses

        def parse_and_check(
                losses: Dict[str, Tensor]) -> Tuple[Tensor, Dict[str, float]]:
            total, logged = parse_losses(losses)
            numbers = torch.stack(list(logged.values())).tolist()
            logged = dict(zip(logged, numbers))
            self._check(
                runner,
                {name: logged[name]
                 for name in losses if 'loss' in name})
            return total, logged

        self._model.parse_losses = parse_and_check

    def after_train(self, runner: Runner) -> None:
        """Stop watching."""
        del self._model.parse_losses

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Remember the names of the batch's images."""
        self._images = [
            sample.metainfo.get('img_path')
            for sample in data_batch['data_samples']
        ]

    def _check(self, runner: Runner, losses: Dict[str, float]) -> None:
        wrong = [
            f'{name}={value}' for name, value in losses.items()
            if not math.isfinite(value)
        ]
        if not wrong:
            return
        path = osp.join(runner.work_dir,
                        f'non_finite_loss_rank{get_rank()}.json')
        mmengine.dump(
            dict(
                iter=runner.iter,
                losses={
                    name: str(value)
                    for name, value in losses.items()
                },
                images=self._images), path)
        raise NonFiniteLossError(
            f'Iteration {runner.iter + 1}: {", ".join(wrong)}. Nothing was '
            f'updated or saved; the images of the batch are listed in {path}. '
            'Resume from the last checkpoint with a lower learning rate or '
            'with --no-amp.')
