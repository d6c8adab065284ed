from typing import Dict, List, NamedTuple

from .scalars import Row, finite_values

PROBES = {'linear': 'Linear', 'knn': 'k nearest neighbours'}


class ProbeScore(NamedTuple):
    """How a probe of the features moved.

    Attributes:
        probe (str): Its name.
        start (float): mIoU of the initial weights, in per cent.
        now (float): mIoU of the last probe, in per cent.
        iteration (int): Of the last probe.
        best (float): Highest mIoU so far, in per cent.
        best_iteration (int): Of the highest mIoU, the first one of equals.
    """

    probe: str
    start: float
    now: float
    iteration: int
    best: float
    best_iteration: int

    @property
    def gain(self) -> float:
        """How far the last probe is above the start, in points."""
        return self.now - self.start


def probe_scores(validation: Dict[int, Row]) -> List[ProbeScore]:
    """Compare the probe of the features with that of the initial weights.

    Args:
        validation (dict[int, dict]): Validation results by iteration.

    Returns:
        list[ProbeScore]: One for each probe that has a start and a score
        that are numbers.
    """
    scores = []
    for key, probe in PROBES.items():
        values = finite_values(validation, f'probe/{key}_mIoU')
        initial = finite_values(validation, f'probe/initial_{key}_mIoU')
        start = values.get(0, next(iter(initial.values()), None))
        if not values or start is None:
            continue
        now = max(values)
        # The start may be known from the initial_ key only.
        best = max({0: start, **values}.items(), key=lambda item: item[1])
        scores.append(
            ProbeScore(probe, start, values[now], now, best[1], best[0]))
    return scores
