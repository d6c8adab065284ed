import math
from datetime import timedelta
from typing import Iterator

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.optim.scheduler.param_scheduler import INF
from mmengine.runner import Runner

from ..utils import unwrap
from .step_watch import parameters_by_part


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Say at the start what is trained, on what, for how long, and where to.

    What is meant for more images, or a longer run, is a warning.

    After some iterations the estimated duration follows, without validations
    and other pauses.

    Args:
        estimate_after (int): Iterations after which the duration is
            estimated, from the second half of them. Defaults to 20.
    """

    # After all checks, before anything is drawn or saved.
    priority = 'BELOW_NORMAL'

    def __init__(self, estimate_after: int = 20) -> None:
        self.estimate_after = estimate_after

    def before_train(self, runner: Runner) -> None:
        """Describe the run."""
        self._start = runner.iter
        for line in (network(runner), images(runner), length(runner),
                     output(runner)):
            runner.logger.info(line)
        for line in (*endless_warm_ups(runner), *repeated_images(runner)):
            runner.logger.warning(line)

    def after_train_iter(self, runner: Runner, **kwargs) -> None:
        """Estimate the duration."""
        if runner.iter + 1 != self._start + self.estimate_after:
            return
        times = runner.message_hub.log_scalars.get('train/time')
        if times is None:  # without the timer hook
            return
        seconds = times.mean(max(self.estimate_after // 2, 1))
        left = runner.max_iters - runner.iter - 1
        runner.logger.info(
            f'At {seconds:.3g} s an iteration, all {runner.max_iters:,} take '
            f'about {duration(seconds * runner.max_iters)} (h:mm:ss); '
            f'{duration(seconds * left)} are left.')


def network(runner: Runner) -> str:
    """Name the network and its precision, and count what is trained."""
    model = unwrap(runner.model)
    parts = {
        name: sum(tensor.numel() for tensor in tensors) / 1e6
        for name, tensors in parameters_by_part(model).items()
    }
    modules = [
        type(getattr(model, name)).__name__
        for name in ('backbone', 'panoptic_head') if hasattr(model, name)
    ]
    total = sum(parts.values())
    return (f'{type(model).__name__} trains {" and ".join(modules)} '
            f'in {precision(runner)}: {total:.3g} M parameters (' +
            ', '.join(f'{name.replace("_", " ")} {count:.3g} M'
                      for name, count in parts.items()) + ').')


def precision(runner: Runner) -> str:
    """Name the precision of the arithmetic."""
    if not isinstance(runner.optim_wrapper, AmpOptimWrapper):
        return 'float32'
    dtype = runner.optim_wrapper.cast_dtype or torch.float16
    return f'mixed precision, {str(dtype).split(".")[1]} (off: --no-amp)'


def images(runner: Runner) -> str:
    """Say how many images there are, and where they come from."""
    dataset = runner.train_dataloader.dataset
    sources = getattr(dataset, 'sources', None)
    weights = getattr(runner.train_dataloader.sampler, 'source_weights', None)
    if sources and weights:
        sources = [
            f'{source} ({weight / sum(weights):.3g} of all draws)'
            for source, weight in zip(sources, weights)
        ]
    origin = f', from {", ".join(map(str, sources))}' if sources else ''
    return f'Images: {len(dataset):,}{origin}.'


def length(runner: Runner) -> str:
    """Say how long the training is."""
    loader = runner.train_dataloader
    on_each = loader.batch_sampler.batch_size
    processes = get_world_size()
    accumulated = runner.optim_wrapper._accumulative_counts
    count = len(loader.dataset)
    passes = runner.max_iters * on_each * processes / count
    begin = f', from iteration {runner.iter:,} on' if runner.iter else ''
    return (f'Length: {passes:.3g} passes over {count:,} images, '
            f'{runner.max_iters:,} iterations{begin}; '
            f'{on_each * processes * accumulated} images a step of the '
            f'optimiser ({on_each} x {processes} process(es) x {accumulated} '
            'iteration(s)).')


def endless_warm_ups(runner: Runner) -> Iterator[str]:
    """Find schedules of the learning rate that the training cuts off."""
    for index, each in enumerate(runner.param_schedulers or ()):
        if not each.by_epoch and runner.max_iters < each.end < INF:
            yield (f'param_scheduler.{index} ({type(each).__name__}) ends at '
                   f'iteration {each.end:,}, after the training: the learning '
                   'rate does not get where it should. Set '
                   f'param_scheduler.{index}.end='
                   f'{math.ceil(runner.max_iters / 10)}, for example.')


def repeated_images(runner: Runner) -> Iterator[str]:
    """Find steps of the optimiser that see images more than once."""
    loader = runner.train_dataloader
    batch = loader.batch_sampler.batch_size * get_world_size()
    batch *= runner.optim_wrapper._accumulative_counts
    count = len(loader.dataset)
    if batch > count:
        yield (f'A step of the optimiser takes {batch} images, of the {count} '
               'that there are: lower optim_wrapper.accumulative_counts or '
               'train_dataloader.batch_size, for more steps.')


def output(runner: Runner) -> str:
    """Say where the run writes to."""
    return (f'Output: {runner.work_dir} (checkpoints, verdict, exported '
            f'weights) and its folder {runner.timestamp} (log, values, '
            'pictures).')


def duration(seconds: float) -> timedelta:
    """Round to whole seconds."""
    return timedelta(seconds=round(seconds))
