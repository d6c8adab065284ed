import json
import os.path as osp
import time
from typing import Dict, Optional

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process, master_only
from mmengine.fileio import get_file_backend
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from ..evaluation.health_check import check_health
from ..evaluation.health_record import HealthRecord
from ..utils import (ATOMIC_LOCAL, log_scalars, note_monitoring_seconds,
                     require_share, unwrap)
from .step_watch import StepWatch

STATE = 'health'


@HOOKS.register_module()
class FeatureHealthHook(Hook):
    """Watch a pretraining for collapse.

    A JEPA loss can fall because the features become trivial. At each check
    this hook measures what the loss does not show, on the batch that was just
    trained on (:func:`check_health`), and how large gradients and updates are
    (:class:`StepWatch`), and logs it as ``health/...``. It warns once of each
    rule of :func:`health_rules` that holds ``patience`` checks in a row, and
    at the end gives a verdict: 'healthy', 'partial collapse' or 'collapsed'.
    The latest state is in ``health.json`` of the work directory.

    Nothing of the training changes: same weights, bit for bit.

    Args:
        interval (int): Iterations between two checks; the first one is at
            the first iteration. Defaults to 50.
        patience (int): Checks in a row that make a rule true. Defaults to 3.
        begin_share (float): Share of the training before which no rule
            counts, since masks and features of random weights look
            collapsed, in [0, 1). Defaults to 0.1.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    # After the target has moved, before the log is written.
    priority = 'NORMAL'

    def __init__(self,
                 interval: int = 50,
                 patience: int = 3,
                 begin_share: float = 0.1) -> None:
        for name, value in dict(interval=interval, patience=patience).items():
            if value < 1:
                raise ValueError(f'FeatureHealthHook.{name} must be at least '
                                 f'1, but is {value}.')
        require_share(
            'FeatureHealthHook.begin_share', begin_share, below_one=True)
        self.interval = interval
        self.patience = patience
        self.begin_share = begin_share

    def before_train(self, runner: Runner) -> None:
        """Take up what an interrupted run had found."""
        adapter = unwrap(runner.model).adapter
        self.record = HealthRecord(adapter.channels,
                                   len(adapter.learned_queries), self.patience,
                                   runner.message_hub.runtime_info.get(STATE))

        def report(values: Dict[str, float], seconds: float) -> None:
            log_scalars(runner, 'health', values)
            note_monitoring_seconds(runner.message_hub, 'health', seconds)

        self.step_watch = StepWatch(
            unwrap(runner.model), runner.optim_wrapper.optimizer, report)

    def before_train_iter(self, runner: Runner, **kwargs) -> None:
        """Watch the optimiser's step, if a check is due."""
        if self._is_due(runner):
            self.step_watch.look_at_next_step()

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Check, if it is due."""
        if not self._is_due(runner):
            return
        begin = time.perf_counter()
        model = unwrap(runner.model)
        image = model.data_preprocessor(data_batch)['inputs']
        values = check_health(model, image)
        log_scalars(runner, 'health', values)
        counts = runner.iter >= self.begin_share * runner.max_iters
        for rule in self.record.add(values, counts):
            runner.logger.warning(
                f'Sign of collapse: {rule.name} in {self.patience} '
                f'checks in a row ({rule.key} {rule.relation} '
                f'{rule.threshold:.4g}): {rule.meaning}. See '
                'docs/healthy_runs.md.')
        runner.message_hub.update_info(STATE, self.record.state)
        get_file_backend(backend_args=dict(backend=ATOMIC_LOCAL)).put_text(
            json.dumps(self.record.summary(runner.iter + 1), indent=2),
            osp.join(runner.work_dir, 'health.json'))
        note_monitoring_seconds(runner.message_hub, 'health',
                                time.perf_counter() - begin)

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Give the verdict."""
        verdict, reason = self.record.verdict()
        runner.logger.info(f'Health of the features: {verdict} ({reason}).')

    def _is_due(self, runner: Runner) -> bool:
        # Only there: no other rank waits for it.
        return is_main_process() and (runner.iter == 0
                                      or self.every_n_train_iters(
                                          runner, self.interval))
