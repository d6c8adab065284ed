"""Draw the health of several runs side by side, and print the verdicts."""
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

from rich.console import Console
from rich.table import Table

from mask_jepa.report import read_run
from mask_jepa.utils import exit_on, make_parser
from mask_jepa.visualization import draw_health


def main() -> None:
    """Compare."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'work_dirs', nargs='+', help='of runs of tools/train.py')
    parser.add_argument(
        '--names', nargs='+', help='one for each run; by default the folders')
    parser.add_argument('--out', default='health.png')
    args = parser.parse_args()
    if args.names and len(args.names) != len(args.work_dirs):
        parser.error(f'there are {len(args.names)} names for '
                     f'{len(args.work_dirs)} runs: give one for each.')
    if args.names and len(set(args.names)) < len(args.names):
        parser.error('a name stands twice: give each run its own.')
    with exit_on(FileNotFoundError):
        runs = [read_run(work_dir) for work_dir in args.work_dirs]
    names = args.names or [run.name for run in runs]
    if len(set(names)) < len(names):
        names = args.work_dirs
    table = Table('run', 'verdict', 'reason', show_lines=True)
    for name, run in zip(names, runs):
        verdict, reason = 'not watched', 'no FeatureHealthHook'
        if run.health:
            verdict, reason = run.health.verdict, run.health.reason
        table.add_row(name, verdict, reason)
    Console().print(table)
    training = {name: run.training for name, run in zip(names, runs)}
    draw_health(training).savefig(args.out, dpi=100)
    print(f'Drew {len(runs)} runs to {args.out}.')


if __name__ == '__main__':
    main()
