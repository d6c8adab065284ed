"""Collect and show what the stages of the quickstart measured."""
import json
import os.path as osp
from glob import glob
from pathlib import Path
from typing import Dict, List

from mmcv import imread
from PIL import Image
from rich.console import Console
from rich.table import Table

from mask_jepa.report import read_run
from mask_jepa.utils import evenly_spread
from mask_jepa.visualization import draw_sheet

LOSSES = ('loss', 'loss_jepa', 'loss_reconstruction')
HEADLINE_METRICS = dict(mmdet=['coco/segm_mAP'], mmseg=['mIoU'])


def first_and_last(rows: Dict[int, Dict[str, float]],
                   name: str) -> List[float]:
    """Choose the first and the last value that was logged."""
    values = [row[name] for row in rows.values() if name in row]
    return [values[0], values[-1]]


def tested_metrics(work_dir: str) -> Dict[str, float]:
    """Read what the newest test measured."""
    newest = max(glob(f'{work_dir}/*/*.json'), key=osp.getmtime)
    with open(newest) as file:
        metrics = json.load(file)
    return {
        name: value
        for name, value in metrics.items() if 'time' not in name
    }


def summarise(out: str, libraries: List[str], seconds: Dict[str, float],
              data: Dict) -> Dict:
    """Collect, in plain types, what the stages left in their folders."""
    pretraining = read_run(osp.join(out, 'pretrain'))
    losses = {
        'pretrain': {
            name: first_and_last(pretraining.training, name)
            for name in LOSSES
        }
    }
    for library in libraries:
        name = f'finetune-{library}'
        run = read_run(osp.join(out, name))
        losses[name] = dict(loss=first_and_last(run.training, 'loss'))
    return dict(
        data=data,
        health=pretraining.health.verdict,
        # Linear mIoU of the initial and of the last weights, in per cent.
        probe=first_and_last(pretraining.validation, 'probe/linear_mIoU'),
        losses=losses,
        metrics={
            test: tested_metrics(osp.join(out, f'test-{test}'))
            for test in ('pretrained', *libraries)
        },
        seconds={
            name: round(value, 1)
            for name, value in seconds.items()
        })


def print_table(summary: Dict) -> None:
    """Print what :func:`summarise` collected."""
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
            names = HEADLINE_METRICS.get(test, metrics)
            result = ', '.join(f'{name} {metrics[name]:.3f}' for name in names)
        table.add_row(stage, f'{seconds:.0f}', result)
    Console(width=100).print(table)


def draw_predictions(out: str, library: str, num_images: int = 6) -> None:
    """Put some pictures of a library's test tool on one sheet."""
    folder = Path(out, f'test-{library}')
    pictures = sorted([*folder.rglob('*.jpg'), *folder.rglob('*.png')])
    chosen = [
        imread(pictures[index], channel_order='rgb') / 255
        for index in evenly_spread(len(pictures), num_images)
    ]
    sheet = draw_sheet(
        [chosen[index:index + 2] for index in range(0, len(chosen), 2)],
        [f'{library}: annotation | prediction'] * 2,
        panel_size=640)
    Image.fromarray(sheet).save(osp.join(out, f'predictions_{library}.png'))
