"""Kill, damage and deceive trainings in numbers, and let one run for long.

    python tests/test_faults/endurance.py work_dirs/endurance --seed 0

Each result goes to results.json in the folder at once, from which a proof that
was interrupted goes on; table.md has the sums. What is lost stays in a folder
of its own. Exit status 1 if anything is.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parents[1]), str(FOLDER.parent)]

from bench import Bench
from warm_python import ROOT

COUNTS = dict(
    kills=100, damages=40, configs=60, images=5000, programs=40, steps=20000)


class Results:
    """What came out so far, kept in a file.

    Args:
        folder (Path): Of ``results.json``, and of all runs.
        seed (int): Decides what is done.
    """

    def __init__(self, folder, seed):
        self.path = folder / 'results.json'
        self.bench = Bench(folder)
        self.content = dict(seed=seed, trials={})
        if self.path.exists():
            self.content = json.loads(self.path.read_text())
            assert self.content['seed'] == seed, f'{folder} has another seed'

    def keep(self, name, value):
        """Put something into the file."""
        self.content[name] = value
        partial = self.path.with_suffix('.partial')
        partial.write_text(json.dumps(self.content, indent=1))
        os.replace(partial, self.path)

    def try_out(self, kind, count):
        """Make the trials of a kind that are still missing."""
        # Not with each process that is started.
        from trials import TRIALS
        trials, seed = self.content['trials'], self.content['seed']
        done = trials.setdefault(kind, {})
        missing = [each for each in range(count) if str(each) not in done]
        commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'],
                                cwd=ROOT,
                                capture_output=True,
                                text=True).stdout.strip()
        begin = time.monotonic()
        for place, number in enumerate(missing, 1):
            chance = random.Random(f'{seed} {number}')
            try:
                row, what = TRIALS[kind](self.bench, chance, number, seed)
                lost = False
            except AssertionError as error:
                row, what, lost = kind, str(error), True
                if self.bench.run.exists():
                    self.bench.run.rename(self.bench.folder /
                                          f'lost_{kind}_{number}')
            done[str(number)] = dict(
                row=row,
                what=what,
                lost=lost,
                commit=commit,
                date=str(date.today()))
            self.keep('trials', trials)
            left = (time.monotonic() - begin) / place * (len(missing) - place)
            print(
                f'{kind} {number}, {place} of {len(missing)}, '
                f'{left / 60:.0f} min left: {"LOST: " * lost}{what}',
                flush=True)

    def table(self):
        """Sums, by what was done."""
        lines = ['| what | tried | survived | lost |', '|---|---|---|---|']
        for row in dict.fromkeys(each['row'] for each in self.all()):
            lost = [each['lost'] for each in self.all() if each['row'] == row]
            lines.append(f'| {row} | {len(lost)} | {len(lost) - sum(lost)} | '
                         f'{sum(lost)} |')
        return '\n'.join(lines)

    def all(self):
        """All trials of all kinds."""
        return [
            each for kind in self.content['trials'].values()
            for each in kind.values()
        ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--seed', type=int, default=0)
    for kind, count in COUNTS.items():
        parser.add_argument(f'--{kind}', type=int, default=count)
    args = parser.parse_args()
    folder = args.folder.resolve()
    results = Results(folder, args.seed)
    for kind in COUNTS:
        count = getattr(args, kind)
        if kind != 'steps':
            # Images are mutated and read 500 at a time.
            results.try_out(kind, count // 500 if kind == 'images' else count)
        elif count:
            from long_run import run_for_long
            results.keep('long_run', run_for_long(results.bench, count))
            print(json.dumps(results.content['long_run'], indent=1))
    (folder / 'table.md').write_text(f'{results.table()}\n')
    print(results.table())
    sys.exit(any(each['lost'] for each in results.all()))


if __name__ == '__main__':
    main()
