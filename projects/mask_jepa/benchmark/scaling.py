"""How the cost of a step grows."""
import copy
from math import log2
from typing import Callable, Dict, Iterator, List, Tuple

from mmengine.config import Config

from .arms import make_arm
from .measure import measure, time_in_turn
from .training_step import TrainingStep

AXES = ('image_area', 'batch_size', 'queries', 'prediction_grid')
# What is said of each point, and its growth.
COSTS = ('median_ms', 'gflop', 'kept_for_backward_mb')

# Size of the point, in the unit of its axis, and what makes its step.
Point = Tuple[int, Config, int, int]


def _points(axis: str, cfg: Config, batch_size: int,
            image_size: int) -> Iterator[Point]:
    """Make three points of an axis: its size, config, batch and pixels."""
    if axis == 'batch_size':
        for factor in (1, 2, 4):
            yield factor * batch_size, cfg, factor * batch_size, image_size
    elif axis == 'image_area':
        for side in (image_size, 3 * image_size // 2, 2 * image_size):
            yield side**2, cfg, batch_size, side
    elif axis == 'queries':
        queries = cfg.model.panoptic_head.num_queries
        for number in (queries // 2, queries, 2 * queries):
            changed = copy.deepcopy(cfg)
            changed.model.panoptic_head.num_queries = number
            yield number, changed, batch_size, image_size
    else:
        strides = (32, 16, 8)
        for stride in strides:
            changed = copy.deepcopy(cfg)
            changed.model.prediction_stride = stride
            yield (image_size // stride)**2, changed, batch_size, image_size


def measure_scaling(cfg: Config,
                    batch_size: int,
                    image_size: int,
                    steps: int,
                    warmup: int,
                    make_step: Callable[..., TrainingStep],
                    axes: Tuple[str, ...] = AXES) -> Dict[str, dict]:
    """Measure steps of Mask-JEPA of several sizes.

    Along each axis three sizes are timed in turn, beginning with
    ``batch_size`` images of ``image_size`` pixels; those of the queries are
    half, once and twice the config's, of the prediction grid every 32nd, 16th
    and 8th pixel.

    Args:
        cfg (Config): Of a pretraining.
        batch_size (int): Images.
        image_size (int): Pixels; a multiple of 64.
        steps, warmup (int): Steps that are timed, and before that.
        make_step (Callable): Makes a step of a config and a batch.
        axes (tuple[str]): Of ``AXES``. Defaults to all.

    Returns:
        dict: By axis, ``points``, a list of dicts with ``size`` and ``COSTS``,
        and ``growth``: by how much each cost grows where the size doubles,
        on average from the smallest to the largest.
    """
    return {
        axis:
        _measure_axis(
            list(_points(axis, cfg, batch_size, image_size)), steps, warmup,
            make_step)
        for axis in axes
    }


def _measure_axis(points: List[Point], steps: int, warmup: int,
                  make_step: Callable[..., TrainingStep]) -> dict:
    by_size = {
        size: make_step(*make_arm('mask_jepa', *arguments))
        for size, *arguments in points
    }
    time_in_turn(by_size, steps, warmup)
    measured = []
    for size, step in by_size.items():
        costs = measure(step)
        measured.append(
            dict(size=size, **{name: costs[name]
                               for name in COSTS}))
    return dict(points=measured, growth=growth(measured))


def growth(points: List[dict]) -> Dict[str, float]:
    """Find by how much costs grow where the size doubles, from the first to
    the last of points as those of :func:`measure_scaling`."""
    first, last = points[0], points[-1]
    doublings = log2(last['size'] / first['size'])
    return {
        name: round((last[name] / first[name])**(1 / doublings), 3)
        for name in COSTS
    }
