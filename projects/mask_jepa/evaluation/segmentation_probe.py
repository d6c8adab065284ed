import time
from typing import Dict, Optional

from mmdet.registry import LOOPS
from mmengine.hooks import Hook
from mmengine.runner import Runner, ValLoop

from ..utils import note_monitoring_seconds, unwrap
from .dense_probe import DenseProbe
from .probe_loaders import build_probe_evaluator, build_probe_loaders

PREFIX = 'probe/'
INITIAL = 'probe/initial_'
INITIAL_RECORD = 'probe_of_initial_weights'


@LOOPS.register_module()
class SegmentationProbe(ValLoop):
    """Validate a pretraining by segmenting with its frozen features.

    A validation loop like any other of MMEngine: ``val_dataloader`` is that
    of any mmseg config, ``val_evaluator`` mmseg's ``IoUMetric``,
    ``train_cfg.val_interval`` says when, and ``save_best=
    'probe/linear_mIoU'`` in the checkpoint hook keeps the best checkpoint.
    The same is measured once before the first step, and every later value is
    reported beside it. It draws no random number of the training's and
    leaves the weights alone.

    Args:
        dataloader (dict): Images to test on, ``val_dataloader``.
        evaluator (dict): ``val_evaluator``.
        train_dataset (dict): mmseg dataset of the images to fit on. Its
            pipeline is replaced by that of ``dataloader``, which has no
            random transform.
        max_images (int, optional): As for :func:`build_probe_loaders`.
        **probe: As for :class:`DenseProbe`, such as branch and levels.

    Raises:
        FileNotFoundError: If a folder with labelled images is missing.
    """

    def __init__(self,
                 runner: Runner,
                 dataloader: dict,
                 evaluator: dict,
                 train_dataset: dict,
                 max_images: Optional[int] = None,
                 **probe) -> None:
        try:
            loaders = build_probe_loaders(dataloader, train_dataset,
                                          max_images)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{error} Set data_root and data_prefix of '
                'val_dataloader.dataset and val_cfg.train_dataset, or train '
                'without the probe: val_dataloader=None val_evaluator=None '
                'val_cfg=None default_hooks.checkpoint.save_best=None'
            ) from error
        super().__init__(
            runner, loaders['test'],
            build_probe_evaluator(evaluator, loaders['test'].dataset))
        self.probe = DenseProbe(loaders['fit'], self.dataloader,
                                self.evaluator, **probe)
        runner.register_hook(_ProbeInitialWeights(self))

    def run(self) -> Dict[str, float]:
        """Validate, with the hooks of a validation.

        Returns:
            dict[str, float]: ``probe/linear_mIoU``, ``probe/knn_mIoU`` and
            the like, each beside ``probe/initial_...``.
        """
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        metrics = self.measure()
        # None in a run that was begun without the probe.
        initial = self.runner.message_hub.runtime_info.get(INITIAL_RECORD)
        self.runner.logger.info(self.summary(metrics, initial))
        metrics.update({
            name.replace(PREFIX, INITIAL): value
            for name, value in (initial or {}).items()
        })
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics

    def measure(self) -> Dict[str, float]:
        """Measure the present weights, in per cent."""
        begin = time.perf_counter()
        model = unwrap(self.runner.model)
        metrics = self.probe.measure(model)
        note_monitoring_seconds(self.runner.message_hub, 'probe',
                                time.perf_counter() - begin)
        return {f'{PREFIX}{name}': value for name, value in metrics.items()}

    def summary(self, metrics: Dict[str, float],
                initial: Optional[Dict[str, float]]) -> str:
        """Say in one line whether the features are better than at first."""
        parts = []
        for name, value in metrics.items():
            start = ''
            if initial:
                change = value - initial[name]
                start = f' (at the start {initial[name]:.2f}, {change:+.2f})'
            parts.append(f'{name[len(PREFIX):]} {value:.2f}{start}')
        headline = f'Probe of the {self.probe.branch} {self.probe.levels[0]}: '
        return headline + '; '.join(parts)


class _ProbeInitialWeights(Hook):
    """Measures the weights that a run begins with."""

    def __init__(self, loop: SegmentationProbe) -> None:
        self.loop = loop

    def before_train(self, runner: Runner) -> None:
        """Measure, unless the run is resumed."""
        if runner.iter > 0:
            return
        metrics = self.loop.measure()
        runner.message_hub.update_info(INITIAL_RECORD, metrics)
        runner.logger.info(
            self.loop.summary(metrics, None) + ', with the initial weights')
        runner.visualizer.add_scalars(metrics, step=0)
