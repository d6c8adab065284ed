import json
import re
from math import isfinite
from typing import Dict, List, NamedTuple, Optional, Tuple, TypeVar

# Names as TensorBoard groups them; up to release 0.1.0 they had no group.
GROUP = re.compile(r'^(health|ema|queries|monitoring)/')
Row = Dict[str, float]
Record = TypeVar('Record')


class Scalars(NamedTuple):
    """What mmengine logged between one start of a training and its end.

    Attributes:
        training (dict[int, dict]): Logged values by iteration.
        validation (dict[int, dict]): Validation results by iteration; 0 is
            before training.
        num_unreadable (int): Lines that are no JSON object with a step, such
            as the torn last line of a training that was killed.
    """

    training: Dict[int, Row]
    validation: Dict[int, Row]
    num_unreadable: int

    @property
    def start(self) -> Optional[int]:
        """First training iteration that was logged; None without any."""
        return min(self.training, default=None)


def read_scalars(path: str) -> Scalars:
    """Read the ``scalars.json`` of mmengine's LocalVisBackend.

    Args:
        path (str): File of JSON lines; NaN and Infinity are allowed.

    Returns:
        Scalars: By iteration.
    """
    scalars = Scalars({}, {}, 0)
    num_unreadable = 0
    # A line torn inside a character must not stop the reading.
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in filter(str.strip, file):
            try:
                row = without_groups(json.loads(line))
                step = int(row['step'])
            except (ValueError, TypeError, KeyError, AttributeError):
                num_unreadable += 1
                continue
            is_training = 'iter' in row or not any('/' in key for key in row)
            rows = scalars.training if is_training else scalars.validation
            rows.setdefault(step, {}).update(row)
    return scalars._replace(num_unreadable=num_unreadable)


def without_groups(row: Row) -> Row:
    """Name values as release 0.1.0 did, whichever release wrote them.

    Args:
        row (dict[str, float]): A line of the log.

    Returns:
        dict[str, float]: Only names of validation results have a slash.
    """
    renamed = {'monitoring/share': 'monitoring_share'}
    return {
        renamed.get(key) or GROUP.sub('', key): value
        for key, value in row.items()
    }


def merge_sessions(
    sessions: List[Tuple[Optional[int], Dict[int, Record]]]
) -> Dict[int, Record]:
    """Join the records of a training that was started several times.

    A later session replaces what earlier ones recorded from its first
    iteration on: the weights of today do not descend from those iterations.

    Args:
        sessions (list[tuple[int | None, dict]]): First training iteration
            (None if nothing was logged yet) and records by iteration, oldest
            session first.

    Returns:
        dict[int, Any]: Records by iteration, in order.
    """
    merged = {}
    for start, records in sessions:
        if start is not None:
            merged = {
                step: record
                for step, record in merged.items() if step < start
            }
        merged.update(records)
    return dict(sorted(merged.items()))


def finite_values(rows: Dict[int, Row], key: str) -> Dict[int, float]:
    """Collect the values of a key that are numbers.

    Args:
        rows (dict[int, dict]): By iteration.
        key (str): To look for.

    Returns:
        dict[int, float]: By iteration, without NaN and infinity.
    """
    return {
        step: row[key]
        for step, row in rows.items()
        if isinstance(row.get(key), (int, float)) and isfinite(row[key])
    }
