import ast
import copy
import itertools
import os.path as osp
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from ..utils import load_config
from ..weights import BRANCHES, PARTS, TARGET_LIBRARIES
from .runs import Finetuning, Pretraining, Task, merge_options

KEYS = ('seeds', 'label_fractions', 'pretrainings', 'tasks', 'arms',
        'compare_with')
ENTRY_KEYS = dict(
    pretrainings=('config', 'library', 'options'),
    tasks=('config', 'library', 'metric', 'scale', 'options'),
    arms=('pretraining', 'parts', 'branch', 'options', 'tasks',
          'label_fractions', 'seeds'))
PRETRAINING_LIBRARIES = ('mask_jepa', 'mmpretrain')


class Experiment(NamedTuple):
    """An experiment, laid out as runs."""

    name: str  # of its file
    question: str  # first line of its file's docstring; '' without one
    compare_with: List[str]  # arms that all others are compared with
    # All runs that give a score, those of one seed together; each knows
    # the pretraining that it needs.
    finetunings: List[Finetuning]
    # Files or folders that they need, and the tools that make them.
    preparations: Dict[str, List[str]]

    @property
    def pretrainings(self) -> List[Pretraining]:
        """What the fine-tunings start from, each once."""
        found = {}
        for run in self.finetunings:
            if run.pretraining:
                found.setdefault(run.pretraining.digest, run.pretraining)
        return list(found.values())

    def select(self,
               seeds: Optional[List[int]] = None,
               arms: Optional[List[str]] = None,
               labels: Optional[List[int]] = None) -> 'Experiment':
        """Choose the runs with some seeds, names of arms or numbers of labels.

        Raises:
            ValueError: If there is no run with one of them.
        """
        runs = self.finetunings
        for option, name, wanted in [('seeds', 'seed', seeds),
                                     ('arms', 'arm', arms),
                                     ('labels', 'num_labels', labels)]:
            if wanted is not None:
                known = dict.fromkeys(getattr(run, name) for run in runs)
                _check_known(f'--{option}', wanted, known)
                runs = [run for run in runs if getattr(run, name) in wanted]
        return self._replace(finetunings=runs)


def read_experiment(path: str) -> Experiment:
    """Read the declarative file of an experiment.

    It is an mmengine config with these names:

    - ``seeds``: one run of everything for each; a seed also chooses the
      labelled images, the same ones in all arms.
    - ``label_fractions``: shares of the training images, in (0, 1]; smaller
      shares of a seed are part of its larger ones.
    - ``pretrainings``: name -> ``config``; ``options`` as for
      ``--cfg-options``; ``library``, the one whose train tool runs it
      (default: ours).
    - ``tasks``: name -> ``config``, ``library``, ``metric`` as that library
      logs it, ``scale`` to multiply it with (default: 1), ``options``.
    - ``arms``: name -> ``pretraining`` (none: the initial weights of the
      task), ``parts`` and ``branch`` as for ``tools/export_pretrained.py``;
      ``options`` of its fine-tunings; ``tasks``, ``label_fractions``,
      ``seeds`` narrow an arm to some of them.
    - ``compare_with``: arms that the others are compared with, seed by seed.
    - ``preparations``, where data have to be made first: path -> the tool that
      makes it, with its arguments.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not fit the form above.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no experiment at {path}.')
    plan = Config.fromfile(path)
    _check(plan, path)
    tasks = {name: _task(name, entry) for name, entry in plan.tasks.items()}
    configs = {name: _load(entry) for name, entry in plan.pretrainings.items()}
    finetunings = []
    for seed, task, fraction, arm in _cells(plan):
        entry = plan.arms[arm]
        pretraining = None
        if entry.get('pretraining'):
            name = entry.pretraining
            library = plan.pretrainings[name].get('library', 'mask_jepa')
            pretraining = Pretraining(name, seed, library, configs[name])
        finetunings.append(
            Finetuning(arm, tasks[task], fraction, seed, pretraining,
                       entry.get('branch', 'online'),
                       entry.get('parts', PARTS), entry.get('options')))
    with open(path, encoding='utf-8') as file:
        docstring = ast.get_docstring(ast.parse(file.read())) or ''
    return Experiment(
        osp.splitext(osp.basename(path))[0],
        docstring.partition('\n')[0], plan.compare_with, finetunings,
        plan.get('preparations', {}))


def count_images(config: Config, library: str) -> int:
    """Count the training images of a task, after the data set's filter."""
    init_default_scope(library)
    return len(DATASETS.build(copy.deepcopy(config.train_dataloader.dataset)))


def _task(name: str, entry: Dict) -> Task:
    config = _load(entry)
    return Task(name, config, entry.library, entry.metric,
                entry.get('scale', 1), count_images(config, entry.library))


def _load(entry: Dict) -> Config:
    config = load_config(entry.config)
    merge_options(config, entry.get('options', {}))
    return config


def _cells(plan: Config) -> List[Tuple[int, str, float, str]]:
    """List (seed, task, label fraction, arm) in the order of the runs."""
    axes = 'seeds', 'tasks', 'label_fractions'
    every = itertools.product(*map(plan.get, axes), plan.arms)
    return [(*values, arm) for *values, arm in every
            if all(value in plan.arms[arm].get(axis, plan[axis])
                   for axis, value in zip(axes, values))]


def _check(plan: Config, path: str) -> None:
    """Refuse what would only be noticed hours later."""
    missing = [
        key for key in KEYS
        if key not in plan or (not plan[key] and key != 'pretrainings')
    ]
    if missing:
        raise ValueError(f'{path} lacks {", ".join(missing)}.')
    for kind, allowed in ENTRY_KEYS.items():
        for name, entry in plan[kind].items():
            _check_entry(f'{kind}[{name!r}]', entry, allowed)
    for name, entry in plan.pretrainings.items():
        _check_known(f'pretrainings[{name!r}].library',
                     [entry.get('library', 'mask_jepa')],
                     PRETRAINING_LIBRARIES)
    for name, task in plan.tasks.items():
        _check_known(f'tasks[{name!r}].library', [task.get('library')],
                     TARGET_LIBRARIES)
        if not task.get('metric'):
            raise ValueError(f'tasks[{name!r}] lacks metric.')
    for name, arm in plan.arms.items():
        _check_arm(f'arms[{name!r}]', arm, plan)
    _check_known('compare_with', plan.compare_with, plan.arms)
    for fraction in plan.label_fractions:
        if not 0 < fraction <= 1:
            raise ValueError('label_fractions must lie in (0, 1], but one is '
                             f'{fraction}.')


def _check_entry(where: str, entry: Dict, allowed: Tuple[str, ...]) -> None:
    unknown = sorted(set(entry) - set(allowed))
    if unknown:
        raise ValueError(f'{where} has {", ".join(unknown)}, but only '
                         f'{", ".join(allowed)} mean something there.')
    config: Optional[str] = entry.get('config')
    if 'config' in allowed and not (config and osp.isfile(config)):
        raise ValueError(f'{where}.config must be a config file, but is '
                         f'{config!r}.')


def _check_arm(where: str, arm: Dict, plan: Config) -> None:
    _check_known(f'{where}.pretraining', [arm.get('pretraining')],
                 [None, *plan.pretrainings])
    _check_known(f'{where}.branch', [arm.get('branch', 'online')], BRANCHES)
    _check_known(f'{where}.parts', arm.get('parts', PARTS) or [None], PARTS)
    for key in ('tasks', 'label_fractions', 'seeds'):
        _check_known(f'{where}.{key}', arm.get(key, []), plan[key])


def _check_known(where: str, names: Iterable, known: Iterable) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f'{where} names {unknown[0]!r}, but known are '
                         f'{", ".join(map(str, known))}.')
