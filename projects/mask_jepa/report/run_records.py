import os.path as osp
from glob import escape, glob
from typing import Dict, NamedTuple, Optional

from .environment import Environment, read_environment
from .health import Health, read_health
from .pictures import find_pictures
from .run_config import RunConfig, read_run_config
from .scalars import Row, merge_sessions, read_scalars


class RunRecords(NamedTuple):
    """All that a work directory tells about a run.

    Attributes:
        name (str): Of the work directory.
        num_sessions (int): How often the training was started.
        training (dict[int, dict]): Logged values by iteration.
        validation (dict[int, dict]): Validation results by iteration.
        num_unreadable (int): Lines of the logs that were left out.
        pictures (dict[str, dict[int, str]]): Paths by name and iteration.
        health (Health, optional): The verdict.
        config (RunConfig): The resolved config.
        environment (Environment): Of the newest session.
    """

    name: str
    num_sessions: int
    training: Dict[int, Row]
    validation: Dict[int, Row]
    num_unreadable: int
    pictures: Dict[str, Dict[int, str]]
    health: Optional[Health]
    config: RunConfig
    environment: Environment

    @property
    def iteration(self) -> int:
        """Last iteration that was logged."""
        return max([0, *self.training, *self.validation])


def read_run(work_dir: str) -> RunRecords:
    """Read the work directory of a run, running or over, resumed or not.

    Args:
        work_dir (str): As given to ``tools/train.py``.

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
    pictures = [
        find_pictures(osp.join(folder, 'vis_data', 'vis_image'))
        for folder in folders
    ]
    names = sorted(set().union(*pictures))
    return RunRecords(
        name=osp.basename(osp.abspath(work_dir)),
        num_sessions=len(paths),
        training=merge_sessions(
            list(zip(starts, (session.training for session in scalars)))),
        validation=merge_sessions(
            list(zip(starts, (session.validation for session in scalars)))),
        num_unreadable=sum(session.num_unreadable for session in scalars),
        pictures={
            name: merge_sessions(
                list(
                    zip(starts, (found.get(name, {}) for found in pictures))))
            for name in names
        },
        health=read_health(work_dir),
        config=read_run_config(work_dir, folders),
        environment=read_environment(folders))
