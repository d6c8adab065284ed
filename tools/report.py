"""Make one web page of a pretraining run.

The page needs no other file and no network. The run may be over, still
running or killed; what it has not logged yet is named on the page.
"""
import os.path as osp
import sys

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

from mask_jepa.report import read_run, write_report
from mask_jepa.utils import exit_on, make_parser


def main() -> None:
    """Report."""
    parser = make_parser(__doc__)
    parser.add_argument('work_dir', help='of a run of tools/train.py')
    parser.add_argument(
        '--out', help='file to write; by default report.html in the work dir')
    args = parser.parse_args()
    with exit_on(FileNotFoundError):
        run = read_run(args.work_dir)
    out = args.out or osp.join(args.work_dir, 'report.html')
    write_report(run, out)
    print(f'Wrote the page about iterations 0 to {run.iteration} to {out}.')


if __name__ == '__main__':
    main()
