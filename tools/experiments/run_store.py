"""Where the runs of experiments lie, and what is known of those that ended."""
import json
import os
import os.path as osp
import shutil
import subprocess
from glob import escape, glob
from typing import Dict, List, Optional, Union

from mmengine.fileio import get_file_backend
from runs import Finetuning, Pretraining

from projects.mask_jepa.report import read_run
from projects.mask_jepa.utils import ATOMIC_LOCAL

RESULT = 'result.json'
CODE = 'code.txt'
Run = Union[Pretraining, Finetuning]


def write_text(path: str, text: str) -> None:
    """Write a text file, whole or not at all.

    Args:
        path (str): File.
        text (str): Content.
    """
    backend = get_file_backend(backend_args=dict(backend=ATOMIC_LOCAL))
    backend.put_text(text, path)


def describe_code() -> str:
    """Name the version of the code.

    Returns:
        str: Commit, with '+' where files differ from it; '' outside of git,
        or without it.
    """
    if shutil.which('git') is None:
        return ''

    def git(*arguments: str) -> str:
        result = subprocess.run(['git', *arguments],
                                capture_output=True,
                                text=True)
        return result.stdout.strip() if result.returncode == 0 else ''

    changed = git('status', '--porcelain', '--untracked-files=no')
    return git('rev-parse', '--short', 'HEAD') + ('+' if changed else '')


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
        """Find the folder of a run, or name it.

        Args:
            run (Pretraining | Finetuning): The run.

        Returns:
            str: Path; it need not exist.
        """
        found = glob(osp.join(escape(self.root), f'*_{run.digest}'))
        return found[0] if found else osp.join(self.root, run.folder)

    def lock(self, run: Run) -> str:
        """Name the file that a process locks to make a run.

        Args:
            run (Pretraining | Finetuning): The run.

        Returns:
            str: Path, outside the folder of the run, which may be removed.
        """
        return osp.join(self.root, 'locks', run.digest)

    def result(self, run: Run) -> Optional[dict]:
        """Look up what came out.

        Args:
            run (Pretraining | Finetuning): The run.

        Returns:
            dict | None: Its result; None if it is still to be made.
        """
        path = osp.join(self.folder(run), RESULT)
        if osp.isfile(path):
            with open(path) as file:
                return json.load(file)
        if isinstance(run, Finetuning):
            return self.published.get(run.digest)
        return None

    def prepare(self, run: Run) -> List[str]:
        """Make a run ready to start.

        Args:
            run (Pretraining | Finetuning): The run.

        Returns:
            list[str]: Arguments of the Python interpreter.
        """
        folder = self.folder(run)
        resumes = isinstance(run, Pretraining) and run.library == 'mask_jepa'
        if not resumes:
            # The stock tools do not resume exactly: a torn run starts again.
            shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, exist_ok=True)
        with open(osp.join(folder, CODE), 'a') as file:
            file.write(f'{describe_code()}\n')
        if isinstance(run, Pretraining):
            return run.prepare(folder)
        if run.pretraining:
            return run.prepare(folder, self.folder(run.pretraining))
        return run.prepare(folder)

    def finish(self, run: Run, seconds: float) -> dict:
        """Keep what came out.

        Args:
            run (Pretraining | Finetuning): A run whose command has ended.
            seconds (float): How long the command took.

        Returns:
            dict: The result.

        Raises:
            ValueError: If a fine-tuning logged no score.
        """
        folder = self.folder(run)
        with open(osp.join(folder, CODE)) as file:
            versions = dict.fromkeys(file.read().split())
        result = dict(
            digest=run.digest,
            seed=run.seed,
            seconds=round(seconds),
            # More than one where a pretraining went on with newer code.
            code=' '.join(versions))
        if isinstance(run, Pretraining):
            result.update(pretraining=run.name, images_seen=run.images_seen)
        else:
            metric = run.task.metric
            records = read_run(folder)
            # The names of mmseg's results tell nothing of a validation, so
            # they stand among what the training logged.
            scores = {
                step: run.task.scale * row[metric]
                for rows in (records.training, records.validation)
                for step, row in rows.items() if metric in row
            }
            if not scores:
                raise ValueError(
                    f'{folder} logged no {metric}: set the metric of the '
                    'task to a name that its library logs.')
            result.update(
                arm=run.arm,
                task=run.task.name,
                labels=run.num_labels,
                metric=metric,
                score=scores[max(scores)],
                curve=scores)
            if run.pretraining:
                pretraining = self.result(run.pretraining)
                result.update(pretraining_code=pretraining['code'])
        write_text(osp.join(folder, RESULT), json.dumps(result, indent=2))
        return result
