import os.path as osp
from typing import Any

import mmengine
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from torch import nn

from ..utils import unwrap


class NonFiniteLossError(RuntimeError):
    """A loss is infinite or not a number."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop before a non-finite loss reaches the optimiser.

    mmengine's ``CheckInvalidLossHook`` looks after the optimiser's step, when
    the weights are spoilt and may have been saved. This hook looks at the
    losses as they leave the model, names the iteration and the term, and
    saves the names of the batch's images for replay. (A finite loss with a
    non-finite gradient is caught by
    ``clip_grad=dict(error_if_nonfinite=True)``.)
    """

    def before_train(self, runner: Runner) -> None:
        """Watch what the model returns."""
        model = unwrap(runner.model)

        def check(module: nn.Module, inputs: tuple, outputs: Any) -> None:
            if isinstance(outputs, dict):
                self._check(runner, outputs)

        self._handle = model.register_forward_hook(check)

    def after_train(self, runner: Runner) -> None:
        """Stop watching."""
        self._handle.remove()

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Remember the names of the batch's images."""
        self._images = [
            sample.metainfo.get('img_path')
            for sample in data_batch['data_samples']
        ]

    def _check(self, runner: Runner, outputs: dict) -> None:
        losses = {
            name: value.detach()
            for name, value in outputs.items() if 'loss' in name
        }
        # One look at the device a step, instead of one for each term.
        if torch.stack(list(losses.values())).isfinite().all():
            return
        values = {name: float(value) for name, value in losses.items()}
        wrong = [
            f'{name}={values[name]}' for name, value in losses.items()
            if not value.isfinite()
        ]
        path = osp.join(runner.work_dir,
                        f'non_finite_loss_rank{get_rank()}.json')
        mmengine.dump(
            dict(
                iter=runner.iter,
                losses={name: str(value)
                        for name, value in values.items()},
                images=self._images),
            path)
        raise NonFiniteLossError(
            f'Iteration {runner.iter + 1}: {", ".join(wrong)}. Nothing was '
            f'updated or saved; the images of the batch are listed in {path}. '
            'Resume from the last checkpoint with a lower learning rate or '
            'without --amp.')
