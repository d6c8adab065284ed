"""Collect and show what the stages of the quickstart measured."""
import json
import os.path as osp
from glob import glob
from typing import Dict, List

from mmcv import imread
from PIL import Image
from rich.console import Console
from rich.table import Table

from projects.mask_jepa.utils import evenly_spread
from projects.mask_jepa.visualization import draw_sheet

HEADLINE_METRICS = dict(mmdet='coco/segm_mAP', mmseg='mIoU')


def newest(pattern: str) -> str:
    """Find the newest file.

    Args:
        pattern (str): For :func:`glob.glob`, recursive.

    Returns:
        str: Path.
    """
    return max(glob(pattern, recursive=True), key=osp.getmtime)


def first_and_last_losses(work_dir: str) -> Dict[str, List[float]]:
    """Read the losses of a training.

    Args:
        work_dir (str): Of the training.

    Returns:
        dict[str, list[float]]: First and last value of the losses that show
        the way: the sum, and the terms of the pretraining.
    """
    with open(newest(f'{work_dir}/**/scalars.json')) as file:
        rows = [json.loads(line) for line in file]
    rows = [row for row in rows if 'loss' in row]
    names = [
        name for name in ('loss', 'loss_jepa', 'loss_reconstruction')
        if name in rows[0]
    ]
    return {name: [rows[0][name], rows[-1][name]] for name in names}


def first_and_last_probe(work_dir: str) -> List[float]:
    """Read the scores of the segmentation probe.

    Args:
        work_dir (str): Of the pretraining.

    Returns:
        list[float]: Linear mIoU of the initial and of the last weights, in
        per cent.
    """
    with open(newest(f'{work_dir}/**/scalars.json')) as file:
        rows = [json.loads(line) for line in file]
    scores = [
        row['probe/linear_mIoU'] for row in rows if 'probe/linear_mIoU' in row
    ]
    return [scores[0], scores[-1]]


def tested_metrics(work_dir: str) -> Dict[str, float]:
    """Read what a test measured.

    Args:
        work_dir (str): Of the test.

    Returns:
        dict[str, float]: The metrics.
    """
    with open(newest(f'{work_dir}/*/*.json')) as file:
        metrics = json.load(file)
    return {
        name: value
        for name, value in metrics.items() if 'time' not in name
    }


def summarise(out: str, libraries: List[str], seconds: Dict[str, float],
              data: Dict) -> Dict:
    """Collect what was measured.

    Args:
        out (str): Folder of the quickstart.
        libraries (list[str]): Where the fine-tuning took place.
        seconds (dict[str, float]): Of each stage.
        data (dict): Which images were used.

    Returns:
        dict: Plain types only.
    """
    runs = ['pretrain', *(f'finetune-{library}' for library in libraries)]
    tests = ['pretrained', *libraries]
    with open(osp.join(out, 'pretrain', 'health.json')) as file:
        health = json.load(file)
    return dict(
        data=data,
        health=health['verdict'],
        probe=first_and_last_probe(osp.join(out, 'pretrain')),
        losses={run: first_and_last_losses(osp.join(out, run))
                for run in runs},
        metrics={
            test: tested_metrics(osp.join(out, f'test-{test}'))
            for test in tests
        },
        seconds={name: round(value, 1)
                 for name, value in seconds.items()})


def print_table(summary: Dict) -> None:
    """Print what was measured.

    Args:
        summary (dict): As returned by :func:`summarise`.
    """
    table = Table('stage', 'seconds', 'result', title='Mask-JEPA quickstart')
    for stage, seconds in summary['seconds'].items():
        result = ''
        if stage in summary['losses']:
            result = ', '.join(
                f'{name} {first:.3f} -> {last:.3f}'
                for name, (first, last) in summary['losses'][stage].items())
        if stage == 'report':
            first, last = summary['probe']
            result = (f'{summary["health"]}, probe of F_last: linear mIoU '
                      f'{first:.2f} -> {last:.2f}')
        kind, _, test = stage.partition('-')
        if kind == 'test':
            metrics = summary['metrics'][test]
            names = [HEADLINE_METRICS[test]
                     ] if test in HEADLINE_METRICS else list(metrics)
            result = ', '.join(f'{name} {metrics[name]:.3f}' for name in names)
        table.add_row(stage, f'{seconds:.0f}', result)
    Console(width=100).print(table)


def draw_predictions(out: str, library: str, num_images: int = 6) -> None:
    """Put some pictures of the stock test tool on one sheet.

    Args:
        out (str): Folder of the quickstart.
        library (str): 'mmdet' or 'mmseg'.
        num_images (int): How many. Defaults to 6.
    """
    folder = osp.join(out, f'test-{library}')
    pictures = sorted(
        path for path in glob(f'{folder}/**', recursive=True)
        if path.endswith(('.jpg', '.png')))
    chosen = [
        imread(pictures[index], channel_order='rgb') / 255
        for index in evenly_spread(len(pictures), num_images)
    ]
    sheet = draw_sheet(
        [chosen[index:index + 2] for index in range(0, len(chosen), 2)],
        [f'{library}: annotation | prediction'] * 2,
        panel_size=640)
    Image.fromarray(sheet).save(osp.join(out, f'predictions_{library}.png'))
