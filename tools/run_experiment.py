"""Run an experiment, or the part of it that is missing, and tabulate it."""
import argparse
import os
import os.path as osp
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from mask_jepa.experiments import (Pretraining, RunStore, Workers, data_root,
                                   digest, digest_files, find_results,
                                   group_scores, make_tables, read_experiment,
                                   require_own_results, write_results)
from mask_jepa.utils import exit_on, make_parser


def count(text: str) -> int:
    """Read a number of things from the command line: at least 1."""
    if not (text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f'must be 1 or more, but is {text}')
    return int(text)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'experiment',
        help='file, such as configs/experiments/camvid_labels.py')
    parser.add_argument(
        '--runs',
        default='work_dirs/experiments',
        help='folder of the runs, shared by all experiments')
    parser.add_argument(
        '--out',
        help='folder of results.json, table.md and pictures; runs in its '
        'results.json are not made again; by default <name> in the folder of '
        'the runs')
    places = parser.add_mutually_exclusive_group()
    places.add_argument('--jobs', type=count, default=1, help='runs at a time')
    places.add_argument(
        '--gpus', type=int, nargs='+', help='a run at a time on each of them')
    parser.add_argument('--seeds', type=int, nargs='+', help='only these')
    parser.add_argument('--arms', nargs='+', help='only these')
    parser.add_argument(
        '--labels', type=int, nargs='+', help='only these numbers of labels')
    parser.add_argument(
        '--list',
        action='store_true',
        help='name what is still to be made, tabulate what is known, and make '
        'nothing')
    return parser.parse_args()


def prepare(preparations: Dict[str, List[str]]) -> None:
    """Make the data that are missing.

    Raises:
        RuntimeError: If a tool fails.
        ValueError: If they are there, but of other data or options.
    """
    for path, command in preparations.items():
        # What it was made from, and how.
        made_of = [digest_files(command), digest(command)]
        record = f'{path}.data.txt'
        if not osp.exists(path):
            if subprocess.run([sys.executable, *command]).returncode:
                raise RuntimeError(f'{command[0]} has not made {path}.')
            Path(record).write_text('\n'.join(made_of))
        elif osp.exists(record):
            before = Path(record).read_text().split('\n')
            # Records of older releases have the first alone.
            if before != made_of[:len(before)]:
                raise ValueError(
                    f'{path} was made from other data than those in '
                    f'{data_root()}, or with other options: remove '
                    f'{osp.dirname(path)}.')


def main() -> None:
    """Make what is missing."""
    args = parse_args()
    os.environ.setdefault('MASK_JEPA_DATA', '../shared/data')
    with exit_on(FileNotFoundError, ImportError, ValueError):
        experiment = read_experiment(args.experiment)
        chosen = experiment.select(args.seeds, args.arms, args.labels)
        out = args.out or osp.join(args.runs, experiment.name)
        store = RunStore(args.runs, osp.join(out, 'results.json'))
        # Hours later it would notice that some came out of other data.
        find_results(experiment, store, earlier=True)
        if not args.list:
            require_own_results(experiment, store, out)
    missing = store.missing(chosen.finetunings)
    num_pretrainings = sum(isinstance(run, Pretraining) for run in missing)
    print(f'{len(chosen.finetunings)} scores, '
          f'{len(missing) - num_pretrainings} still to be made, with '
          f'{num_pretrainings} pretrainings; runs in {args.runs}.')
    if args.list:
        for run in missing:
            print(run.title)
    else:
        os.makedirs(args.runs, exist_ok=True)
        os.makedirs(out, exist_ok=True)
        try:
            with exit_on(RuntimeError, ValueError, OSError):
                prepare(experiment.preparations)
                Workers(store, args.jobs, args.gpus).make(missing)
        finally:
            write_results(experiment, store, out)
    results = find_results(chosen, store, earlier=args.list)
    digests = {run.digest for run in chosen.finetunings}
    num_earlier = sum(result['digest'] not in digests for result in results)
    if num_earlier:
        print(f'\nOf the scores below, {num_earlier} were published before '
              'the config of their run was changed.')
    if results:
        cells = group_scores(results)
        print(f'\n{make_tables(cells, experiment.compare_with)}')
    if not args.list:
        print(f'results.json, table.md and pictures of all runs are in {out}.')


if __name__ == '__main__':
    main()
