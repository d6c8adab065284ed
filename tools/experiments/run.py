"""Run an experiment, or the part of it that is missing, and tabulate it."""
import argparse
import json
import os
import os.path as osp
import sys
from typing import List

# `projects` is found two folders up, also without an installation.
ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
sys.path.insert(0, ROOT)

from comparison import group_scores
from experiment import Experiment, read_experiment
from plot import draw
from run_store import RunStore, write_text
from table import make_tables
from workers import Workers


def count(text: str) -> int:
    """Read a number of things.

    Args:
        text (str): From the command line.

    Returns:
        int: At least 1.

    Raises:
        argparse.ArgumentTypeError: If it is less.
    """
    if not (text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f'must be 1 or more, but is {text}')
    return int(text)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'experiment',
        help='file, such as configs/experiments/camvid_labels.py')
    parser.add_argument(
        '--runs',
        default='work_dirs/experiments',
        help='folder of the runs, shared by all experiments')
    parser.add_argument(
        '--out',
        help='folder of results.json, table.md and plot.png; runs in its '
        'results.json are not made again; by default <name> in the folder of '
        'the runs')
    places = parser.add_mutually_exclusive_group()
    places.add_argument(
        '--jobs', type=count, default=1, help='runs at a time')
    places.add_argument(
        '--gpus', type=int, nargs='+', help='a run at a time on each of them')
    parser.add_argument(
        '--seeds', type=int, nargs='+', help='only these')
    parser.add_argument(
        '--arms', nargs='+', help='only these')
    parser.add_argument(
        '--labels', type=int, nargs='+', help='only these numbers of labels')
    parser.add_argument(
        '--list',
        action='store_true',
        help='say what is made and what is not, and make nothing')
    return parser.parse_args()


def select(experiment: Experiment, args: argparse.Namespace) -> Experiment:
    """Narrow an experiment to what the command line names.

    Args:
        experiment (Experiment): All of it.
        args (Namespace): The command line.

    Returns:
        Experiment: Its chosen runs.

    Raises:
        ValueError: If it names what the experiment does not have.
    """
    chosen = experiment.finetunings
    for option, attribute in dict(
            seeds='seed', arms='arm', labels='num_labels').items():
        wanted = getattr(args, option)
        if wanted is None:
            continue
        known = {getattr(run, attribute): None for run in chosen}
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise ValueError(f'--{option} names {unknown[0]!r}, but there are '
                             f'{", ".join(map(str, known))}.')
        chosen = [run for run in chosen if getattr(run, attribute) in wanted]
    return experiment._replace(finetunings=chosen)


def find_results(experiment: Experiment, store: RunStore) -> List[dict]:
    """Look up what is known so far.

    Args:
        experiment (Experiment): All of it, or what was chosen.
        store (RunStore): Where its runs lie.

    Returns:
        list[dict]: Results of its fine-tunings, in their order.
    """
    found = []
    for run in experiment.finetunings:
        result = store.result(run)
        if result is not None:
            # Another experiment may have made it under another name.
            found.append(dict(result, arm=run.arm, task=run.task.name))
    return found


def write_results(experiment: Experiment, store: RunStore, out: str) -> None:
    """Write what is known so far.

    What was published before and is no run of the experiment any more, since
    its config has changed, is kept as ``earlier``.

    Args:
        experiment (Experiment): All of it.
        store (RunStore): Where its runs lie.
        out (str): Folder; untouched while there is nothing.
    """
    found = find_results(experiment, store)
    if not found:
        return
    current = {result['digest'] for result in found}
    content = dict(
        experiment=experiment.name,
        question=experiment.question,
        images_seen={
            each.name: each.images_seen
            for each in experiment.pretrainings
        },
        runs=found,
        earlier=[
            result for digest, result in store.published.items()
            if digest not in current
        ])
    write_text(
        osp.join(out, 'results.json'),
        json.dumps(content, indent=1) + '\n')
    cells = group_scores(found)
    write_text(
        osp.join(out, 'table.md'),
        make_tables(cells, experiment.compare_with))
    figure = draw(cells, experiment.compare_with[0], experiment.question)
    figure.savefig(osp.join(out, 'plot.png'), dpi=100)


def main() -> None:
    """Make what is missing."""
    args = parse_args()
    os.environ.setdefault('MASK_JEPA_DATA', '../shared/data')
    try:
        experiment = read_experiment(args.experiment)
        chosen = select(experiment, args)
        out = args.out or osp.join(args.runs, experiment.name)
        store = RunStore(args.runs, osp.join(out, 'results.json'))
    except (FileNotFoundError, ImportError, ValueError) as error:
        raise SystemExit(str(error))
    os.makedirs(args.runs, exist_ok=True)
    os.makedirs(out, exist_ok=True)
    unmade = {}  # Each once, under the first arm that asks for it.
    for run in chosen.finetunings:
        if store.result(run) is None:
            unmade.setdefault(run.digest, run)
    missing = list(unmade.values())
    needed = [
        run for run in chosen._replace(finetunings=missing).pretrainings
        if store.result(run) is None
    ]
    todo = sorted(needed + missing, key=lambda run: run.seed)
    print(f'{len(chosen.finetunings)} scores, {len(missing)} still to be '
          f'made, with {len(needed)} pretrainings; runs in {args.runs}.')
    if args.list:
        print('\n'.join(run.title for run in todo))
        return
    try:
        Workers(store, args.jobs, args.gpus).make(todo)
    except (RuntimeError, ValueError, OSError) as error:
        raise SystemExit(str(error))
    finally:
        write_results(experiment, store, out)
    cells = group_scores(find_results(chosen, store))
    print(f'\n{make_tables(cells, experiment.compare_with)}\n'
          f'results.json, table.md and plot.png of all runs are in {out}.')


if __name__ == '__main__':
    main()
