import fcntl
import json
import os
import os.path as osp
import shutil
import subprocess
from contextlib import contextmanager
from glob import escape, glob
from typing import Dict, Iterator, List, Optional, Sequence, Union

from ..report import read_run
from ..utils import AtomicLocalBackend
from .data_files import data_root
from .runs import Finetuning, Pretraining

RESULT = 'result.json'
CODE = 'code.txt'
DATA = 'data.txt'
Run = Union[Pretraining, Finetuning]


def describe_code() -> str:
    """Name the commit of the code, with '+' where files differ from it.

    '' outside of git, or without it.
    """
    try:
        result = subprocess.run(
            ['git', 'describe', '--always', '--dirty=+', '--exclude=*'],
            capture_output=True,
            text=True)
    except FileNotFoundError:
        return ''
    return result.stdout.strip()


def check_data(run: Run, data: str) -> None:
    """Raise a ValueError if a run was made from other data than are there.

    Where either is unknown, '', it may be the same.
    """
    if data and run.data and data != run.data:
        raise ValueError(
            f'{run.title} was made from other data than those in '
            f'{data_root()}: give other folders as --runs and --out, so that '
            'both are kept.')


class RunStore:
    """Folders of runs, shared by all experiments.

    A run is found by the digest of what it consists of, so that it is made
    once whatever experiment asks for it, and made anew when its config
    changes.

    Args:
        root (str): Folder for the runs.
        published (str): JSON file with results of runs whose folders may be
            gone; they count as made.

    Raises:
        ValueError: If that file is not what an experiment wrote.
    """

    def __init__(self, root: str, published: str) -> None:
        self.root = root
        self.published: Dict[str, dict] = {}
        if osp.isfile(published):
            try:
                with open(published) as file:
                    content = json.load(file)
                for result in content['runs'] + content.get('earlier', []):
                    self.published[result['digest']] = result
            except (ValueError, KeyError, TypeError):
                raise ValueError(
                    f'{published} is not a results.json of an experiment: '
                    'give --out another folder, or restore the file.')

    def folder(self, run: Run) -> str:
        """Find the folder of a run, or name it; it need not exist."""
        found = glob(osp.join(escape(self.root), f'*_{run.digest}'))
        return found[0] if found else osp.join(self.root, run.folder)

    @contextmanager
    def lock(self, run: Run) -> Iterator[int]:
        """Hold a run, and wait for it where another process makes it.

        Yields:
            int: File descriptor, for the processes that make the run. The
            lock is held until the last of them ends, so training that has
            lost the command that started it is not disturbed by the next.
        """
        # Outside the folder of the run, which may be removed.
        path = osp.join(self.root, 'locks', run.digest)
        os.makedirs(osp.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(
                    f'{run.title} is being made by another command; '
                    'waiting for it.',
                    flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno()

    def result(self, run: Run) -> Optional[dict]:
        """Look up what came out; None if the run is still to be made.

        Raises:
            ValueError: If it came out of other data.
        """
        path, found = osp.join(self.folder(run), RESULT), None
        if osp.isfile(path):
            found = json.loads(_read(path))
        elif isinstance(run, Finetuning):
            found = self.published.get(run.digest)
        if found is not None:
            check_data(run, found.get('data', ''))
        return found

    def missing(self, finetunings: Sequence[Finetuning]) -> List[Run]:
        """List what is still to be made for the scores of fine-tunings.

        Seed by seed, pretrainings first; each once, under the first arm that
        asks for it.
        """
        scores = {}
        for run in finetunings:
            if self.result(run) is None:
                scores.setdefault(run.digest, run)
        origins = {}
        for run in scores.values():
            if run.pretraining and self.result(run.pretraining) is None:
                origins.setdefault(run.pretraining.digest, run.pretraining)
        return sorted([*origins.values(), *scores.values()],
                      key=lambda run: run.seed)

    def prepare(self, run: Run) -> List[str]:
        """Make a run ready; return the arguments of the interpreter."""
        folder = self.folder(run)
        is_pretraining = isinstance(run, Pretraining)
        if not (is_pretraining and run.library == 'mask_jepa'):
            # The stock tools do not resume exactly: a torn run starts again.
            shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, exist_ok=True)
        # A pretraining that goes on has begun with some.
        path = osp.join(folder, DATA)
        if osp.isfile(path):
            check_data(run, _read(path))
        AtomicLocalBackend().put_text(run.data, path)
        with open(osp.join(folder, CODE), 'a') as file:
            file.write(f'{describe_code()}\n')
        if is_pretraining or not run.pretraining:
            return run.prepare(folder)
        return run.prepare(folder, self.folder(run.pretraining))

    def finish(self, run: Run, seconds: float) -> dict:
        """Keep, and return, what came out of a run that has ended.

        Raises:
            ValueError: If a fine-tuning logged no score.
        """
        folder = self.folder(run)
        versions = dict.fromkeys(_read(osp.join(folder, CODE)).split())
        result = dict(
            digest=run.digest,
            seed=run.seed,
            seconds=round(seconds),
            # More than one where a pretraining went on with newer code.
            code=' '.join(versions),
            data=_read(osp.join(folder, DATA)))
        if isinstance(run, Pretraining):
            result.update(pretraining=run.name, images_seen=run.images_seen)
        else:
            scores = _read_scores(run, folder)
            result.update(
                arm=run.arm,
                task=run.task.name,
                labels=run.num_labels,
                metric=run.task.metric,
                score=scores[max(scores)],
                curve=scores)
            if run.pretraining:
                pretraining = self.result(run.pretraining)
                result.update(pretraining_code=pretraining['code'])
        AtomicLocalBackend().put_text(
            json.dumps(result, indent=2), osp.join(folder, RESULT))
        return result


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _read_scores(run: Finetuning, folder: str) -> Dict[int, float]:
    """Read the scores of a fine-tuning by iteration."""
    records = read_run(folder)
    metric = run.task.metric
    # The names of mmseg's results tell nothing of a validation, so they
    # stand among what the training logged.
    scores = {
        step: run.task.scale * row[metric]
        for rows in (records.training, records.validation)
        for step, row in rows.items() if metric in row
    }
    if not scores:
        raise ValueError(f'{folder} logged no {metric}: set the metric of the '
                         'task to a name that its library logs.')
    return scores
