from math import isfinite
from statistics import median
from typing import Dict, List, NamedTuple, Optional

from .run_records import Row, RunRecords

PROBES = {'linear': 'Linear', 'knn': 'k nearest neighbours'}


class ProbeScore(NamedTuple):
    """How a probe of the features moved: mIoU in per cent."""

    probe: str
    start: float  # of the initial weights
    now: float  # of the last probe
    iteration: int  # of the last probe
    best: float  # highest so far
    best_iteration: int  # the first one of equals

    @property
    def gain(self) -> float:
        """How far the last probe is above the start, in points."""
        return self.now - self.start


class Fact(NamedTuple):
    """A number with what it means."""

    label: str
    value: str  # with its unit
    note: str  # one sentence


def probe_scores(validation: Dict[int, Row]) -> List[ProbeScore]:
    """Compare the probe of the features with that of the initial weights.

    A probe counts that has a start and a score that are numbers.
    """
    scores = []
    for key, probe in PROBES.items():
        values = _finite_values(validation, f'probe/{key}_mIoU')
        initial = _finite_values(validation, f'probe/initial_{key}_mIoU')
        start = values.get(0, next(iter(initial.values()), None))
        if not values or start is None:
            continue
        now = max(values)
        # The start may be known from the initial_ key only.
        best = max({0: start, **values}.items(), key=lambda item: item[1])
        scores.append(
            ProbeScore(probe, start, values[now], now, best[1], best[0]))
    return scores


def throughput_facts(run: RunRecords) -> List[Fact]:
    """Sum up speed and memory; nothing if no iteration was timed."""
    times = _finite_values(run.training, 'time')
    if not times:
        return []
    seconds = median(times.values())
    waiting = _finite_values(run.training, 'data_time')
    # Medians, since a line after a probe or a picture counts it as waiting.
    share = median(waiting.values() or [0]) / max(seconds, 1e-12)
    facts = [
        Fact('Seconds per iteration', f'{seconds:.3g}',
             'Median of the log, data loading included.'),
        _images_per_second(run, seconds),
        Fact('Waiting for data', f'{share:.0%}', 'Share of an iteration.')
        if waiting else None,
        _monitoring_share(run),
        _memory(run, 'memory', 'GPU memory', 'Highest, of all tensors.'),
        _memory(run, 'peak_host_memory', 'Host memory',
                'Highest, of the training process.')
    ]
    return [fact for fact in facts if fact]


def _images_per_second(run: RunRecords, seconds: float) -> Fact:
    """Work out the speed of all processes together."""
    label, batch = 'Images per second', run.config.batch_size
    if not batch or not seconds:
        return Fact(label, 'unknown',
                    'The config has no train_dataloader.batch_size.')
    processes = run.environment.num_processes or 1
    return Fact(label, f'{batch * processes / seconds:.3g}',
                f'Batch size {batch}, number of processes {processes}.')


def _monitoring_share(run: RunRecords) -> Fact:
    """Look up what watching the newest session costs."""
    label = 'Spent on monitoring'
    shares = _finite_values(run.training, 'monitoring_share')
    if not shares:
        return Fact(
            label, 'unknown', 'Not measured: it comes with '
            'MonitoringCostHook as default_hooks.monitoring_cost.')
    return Fact(label, f'{shares[max(shares)]:.1%}',
                'Share of the wall time: probe, health checks, pictures.')


def _memory(run: RunRecords, key: str, label: str,
            note: str) -> Optional[Fact]:
    """Look up the highest memory, logged in MB; mmengine logs 0 on a CPU."""
    peak = max(_finite_values(run.training, key).values(), default=0)
    return Fact(label, f'{peak / 1024:.2f} GB', note) if peak else None


def _finite_values(rows: Dict[int, Row], key: str) -> Dict[int, float]:
    """Collect the values of a key that are numbers, by iteration."""
    return {
        step: row[key]
        for step, row in rows.items()
        if isinstance(row.get(key), (int, float)) and isfinite(row[key])
    }
