import json
import os.path as osp
import re
from glob import escape, glob
from typing import Dict, List, NamedTuple, Optional, TypeVar

from .run_files import (Environment, Health, RunConfig, find_pictures,
                        read_environment, read_health, read_run_config)

# Names as TensorBoard groups them; up to release 0.1.0 they had no group.
GROUP = re.compile(r'^(health|ema|queries|monitoring)/')
Row = Dict[str, float]
Record = TypeVar('Record')


class RunRecords(NamedTuple):
    """All that a work directory tells about a run."""

    name: str  # of the work directory
    num_sessions: int  # how often the training was started
    training: Dict[int, Row]  # logged values by iteration
    validation: Dict[int, Row]  # results by iteration
    num_unreadable: int  # lines of the logs that were left out
    pictures: Dict[str, Dict[int, str]]  # paths by name and iteration
    health: Optional[Health]
    config: RunConfig
    environment: Environment  # of the newest session

    @property
    def iteration(self) -> int:
        """Last iteration that was logged."""
        return max([0, *self.training, *self.validation])


def read_run(work_dir: str) -> RunRecords:
    """Read the work directory of a run, running or over, resumed or not.

    Returns:
        RunRecords: What is there; what is missing is empty.

    Raises:
        FileNotFoundError: If no training was logged there.
    """
    if not osp.isdir(work_dir):
        raise FileNotFoundError(
            f'There is no folder {work_dir}: give the --work-dir of a run of '
            'tools/train.py.')
    pattern = osp.join(escape(work_dir), '*', 'vis_data', 'scalars.json')
    paths = sorted(glob(pattern))  # The folders are named by time.
    if not paths:
        raise FileNotFoundError(
            f'There is no <timestamp>/vis_data/scalars.json in {work_dir}: '
            'give the --work-dir of a run of tools/train.py whose config has '
            'LocalVisBackend in vis_backends.')
    folders = [osp.dirname(osp.dirname(path)) for path in paths]
    scalars = [read_scalars(path) for path in paths]
    starts = [session.start for session in scalars]
    pictures = [find_pictures(folder) for folder in folders]
    return RunRecords(
        name=osp.basename(osp.abspath(work_dir)),
        num_sessions=len(paths),
        training=merge_sessions(starts,
                                [session.training for session in scalars]),
        validation=merge_sessions(starts,
                                  [session.validation for session in scalars]),
        num_unreadable=sum(session.num_unreadable for session in scalars),
        pictures={
            name:
            merge_sessions(starts, [found.get(name, {}) for found in pictures])
            for name in sorted(set().union(*pictures))
        },
        health=read_health(work_dir),
        config=read_run_config(work_dir, folders),
        environment=read_environment(folders))


class Scalars(NamedTuple):
    """What mmengine logged between one start of a training and its end."""

    training: Dict[int, Row]  # logged values by iteration
    validation: Dict[int, Row]  # results by iteration; 0 is before training
    # Lines that are no JSON object with a step, such as the torn last line
    # of a training that was killed.
    num_unreadable: int

    @property
    def start(self) -> Optional[int]:
        """First training iteration that was logged; None without any."""
        return min(self.training, default=None)


def read_scalars(path: str) -> Scalars:
    """Read the ``scalars.json`` of mmengine's LocalVisBackend.

    It holds lines of JSON, in which NaN and Infinity are allowed.
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

    Only names of validation results have a slash then.
    """
    renamed = {'monitoring/share': 'monitoring_share'}
    return {
        renamed.get(key) or GROUP.sub('', key): value
        for key, value in row.items()
    }


def merge_sessions(starts: List[Optional[int]],
                   sessions: List[Dict[int, Record]]) -> Dict[int, Record]:
    """Join the records of a training that was started several times.

    A later session replaces what earlier ones recorded from its first
    iteration on: the weights of today do not descend from those iterations.

    Args:
        starts (list[int | None]): First training iteration of each session,
            oldest first; None if nothing was logged yet.
        sessions (list[dict]): Their records by iteration.
    """
    merged = {}
    for start, records in zip(starts, sessions):
        if start is not None:
            merged = {
                step: record
                for step, record in merged.items() if step < start
            }
        merged.update(records)
    return dict(sorted(merged.items()))
