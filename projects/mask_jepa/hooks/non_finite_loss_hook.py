import math
import os.path as osp
from functools import wraps
from typing import Dict, NoReturn, Tuple

import mmengine
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner, save_checkpoint, weights_to_cpu
from torch import Tensor, nn

from ..utils import ATOMIC_LOCAL, RunError, find_non_finite, unwrap

ADVICE = (
    'Go on from the newest checkpoint with a lower learning rate (--resume '
    '--cfg-options optim_wrapper.optimizer.lr=...) or with --no-amp; if that '
    'fails alike, from an earlier one (--resume PATH).')


class NonFiniteLossError(RunError):
    """A loss or its gradient is infinite or not a number."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop before a non-finite loss or gradient reaches the weights.

    mmengine's ``CheckInvalidLossHook`` looks after the optimiser's step, when
    the weights are spoilt and may have been saved. This hook looks at the
    losses before the backward pass; the gradient is looked at by
    ``clip_grad=dict(error_if_nonfinite=True)``. It names what is wrong, and
    saves the step for ``tools/replay.py``.

    A GPU waits once a step for that look, which is also the logger's: the
    model returns its logged values as numbers of Python, that mmengine would
    read one by one.

    Args:
        max_skips (int): How many steps of the optimiser in a row may be left
            out instead. Then weights, and what the model keeps of its
            batches, stay as they were, on all ranks; the target alone goes on
            towards them. Defaults to 0.
    """

    def __init__(self, max_skips: int = 0) -> None:
        self.max_skips = max_skips
        self.skips = 0  # in a row

    def before_train(self, runner: Runner) -> None:
        """Watch the input, what the model returns, and the optimiser."""
        self._model = unwrap(runner.model)
        preprocessor = self._model.data_preprocessor
        self._first_input = preprocessor.register_forward_hook(
            self._check_input)
        parse_losses = self._model.parse_losses

        def parse_and_check(
                losses: Dict[str, Tensor]) -> Tuple[Tensor, Dict[str, float]]:
            total, logged = parse_losses(losses)
            numbers = torch.stack(list(logged.values())).tolist()
            logged = dict(zip(logged, numbers))
            self._losses = {
                name: logged[name]
                for name in losses if 'loss' in name
            }
            self._wrong = [
                f'{name}={value}' for name, value in self._losses.items()
                if not math.isfinite(value)
            ]
            if self._wrong and not self.max_skips:
                self._stop(runner)
            # All gradients become NaN, also those of other ranks.
            return total * math.nan if self._wrong else total, logged

        self._model.parse_losses = parse_and_check
        self._watch_optimizer(runner)

    def _watch_optimizer(self, runner: Runner) -> None:
        wrapper = runner.optim_wrapper
        self._step = wrapper.step
        looks = (getattr(wrapper, 'clip_grad_kwargs', None)
                 or {}).get('error_if_nonfinite')
        if self.max_skips and not looks:
            raise RunError(
                'default_hooks.finite_loss.max_skips needs optim_wrapper.'
                'clip_grad.error_if_nonfinite=True, which looks at the '
                'gradients (in float16 the loss scale skips by itself).')
        if not looks:
            return
        step = self._step

        @wraps(step)  # with what a scheduler has noted on it
        def step_or_skip(**kwargs) -> None:
            try:
                step(**kwargs)
                self.skips = 0
            except RuntimeError:  # before any weight has changed
                spoilt = [
                    name for name, parameter in self._model.named_parameters()
                    if find_non_finite(parameter.grad, name)
                ]
                if not spoilt:
                    raise
                self._wrong = self._wrong or [
                    f'non-finite gradient of {spoilt[0]}'
                ]
                self._skip(runner)

        wrapper.step = step_or_skip

    def after_train(self, runner: Runner) -> None:
        """Stop watching."""
        del self._model.parse_losses
        runner.optim_wrapper.step = self._step

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Remember the batch and, where steps may be skipped, the buffers."""
        self._batch = data_batch
        self._images = [
            sample.metainfo.get('img_path')
            for sample in data_batch['data_samples']
        ]
        accumulated = runner.optim_wrapper._accumulative_counts
        if self.max_skips and runner.iter % accumulated == 0:
            self._buffers = {
                name: value.clone()
                for name, value in self._model.named_buffers()
            }

    def _check_input(self, module: nn.Module, args: tuple,
                     output: dict) -> None:
        """Look at the first images that are normalised."""
        self._first_input.remove()
        if find_non_finite(output['inputs'], 'inputs'):
            raise NonFiniteLossError(
                'The normalised images are not finite: look at mean and std '
                'of model.data_preprocessor.')

    def _skip(self, runner: Runner) -> None:
        """Leave a step out, or stop after too many."""
        if self.skips >= self.max_skips:
            self._stop(runner)
        self.skips += 1
        self._model.load_state_dict(self._buffers, strict=False)
        runner.logger.warning(
            f'Iteration {runner.iter + 1}: {", ".join(self._wrong)}. This '
            f'step is left out, {self.skips} in a row of at most '
            f'{self.max_skips}.')

    def _stop(self, runner: Runner) -> NoReturn:
        cause, advice = self._cause()
        path = osp.join(runner.work_dir,
                        f'non_finite_loss_rank{get_rank()}.json')
        try:
            self._save_step(runner, path)
            replay = (f' The images of the batch are listed in {path}: '
                      f'tools/replay.py {path} repeats the step, and says '
                      'where it goes wrong.')
        except OSError:  # The disk is full, say: this matters less.
            replay = ''
        raise NonFiniteLossError(
            f'Iteration {runner.iter + 1}: {", ".join(self._wrong)}. {cause} '
            f'{advice}{replay}')

    def _cause(self) -> Tuple[str, str]:
        """Say what was wrong before the step, if anything, and what helps."""
        inputs = self._model.data_preprocessor(self._batch)['inputs']
        images = [
            str(path) for path, image in zip(self._images, inputs)
            if find_non_finite(image, 'image')
        ]
        if images:
            return (
                f'The input is not finite already, in {", ".join(images)}.',
                'Look at these images, and at model.data_preprocessor.')
        weights = find_non_finite(dict(self._model.named_parameters()))
        if weights:
            return (f'The weights have not been finite since an earlier step, '
                    f'{weights} first; no checkpoint holds them.', ADVICE)
        return 'Input and weights are finite; nothing was updated.', ADVICE

    def _save_step(self, runner: Runner, path: str) -> None:
        """Save what repeats the step, and a record that people can read."""
        weights = weights_to_cpu(self._model.state_dict())
        weights['random.step'] -= 1  # it was counted
        state = path.replace('.json', '.pth')
        save_checkpoint(
            dict(
                meta=dict(cfg=runner.cfg.pretty_text),
                state_dict=weights,
                inputs=self._batch['inputs']),
            state,
            backend_args=dict(backend=ATOMIC_LOCAL))
        mmengine.dump(
            dict(
                iter=runner.iter,
                rank=get_rank(),
                seed=runner.seed,
                wrong=self._wrong,
                losses={
                    name: str(value)
                    for name, value in self._losses.items()
                },
                images=self._images,
                state=osp.basename(state)), path)
