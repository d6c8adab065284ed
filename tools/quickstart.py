"""Pretrain, hand over, fine-tune and test at CPU size, and draw the results.

Called by tools/quickstart.sh, which sets up the environment first.
"""
import argparse
import json
import os
import os.path as osp
import subprocess
import sys
import time
from glob import glob
from typing import Dict, List, NamedTuple, Optional

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
OUT = osp.join('work_dirs', 'quickstart')
PRETRAIN_CONFIG = 'configs/mask_jepa_r18_tiny.py'
FINETUNE_CONFIGS = dict(
    mmdet='configs/finetune/mmdet/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_small-coco-instance.py',
    mmseg='configs/finetune/mmseg/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py')
HEADLINE_METRICS = dict(mmdet='coco/segm_mAP', mmseg='mIoU')


class Stage(NamedTuple):
    """One command of the road.

    Attributes:
        name (str): What it does; also names its log.
        command (list[str]): Arguments of the Python interpreter.
        minutes (float): How long it takes on two CPU cores, for the ETA.
        trusts_own_files (bool): Whether it loads a checkpoint that the stage
            before it has just written with a stock tool.
    """

    name: str
    command: List[str]
    minutes: float
    trusts_own_files: bool = False


def stock_tool(library: str, name: str) -> str:
    """Find a tool that an installed library ships.

    Args:
        library (str): 'mmdet' or 'mmseg'.
        name (str): File name.

    Returns:
        str: Path.
    """
    from importlib.util import find_spec
    package = osp.dirname(find_spec(library).origin)
    return osp.join(package, '.mim', 'tools', name)


def find_data(wanted: Optional[str]) -> Dict[str, Optional[str]]:
    """Decide which images to use.

    Args:
        wanted (str, optional): Folder given on the command line.

    Returns:
        dict: ``labelled``, the folder with camvid/ and coco128/, and
        ``images``, a folder to pretrain on instead, or None.
    """

    def is_labelled(folder: str) -> bool:
        return all(
            osp.isdir(osp.join(folder, name)) for name in ('camvid', 'coco128'))

    if wanted and not osp.isdir(wanted):
        raise SystemExit(f'There is no folder at {wanted}.')
    images = None
    if wanted and not is_labelled(wanted):
        images, wanted = osp.abspath(wanted), None
    usual = os.environ.get('MASK_JEPA_DATA', osp.join('..', 'shared', 'data'))
    labelled = wanted or usual
    if not is_labelled(labelled):
        labelled = osp.join('work_dirs', 'scenes')
        print('The small real sets were not found: scenes are generated.')
        subprocess.run([
            sys.executable,
            osp.join('tools', 'misc', 'generate_scenes.py'), labelled
        ],
                       check=True)
    return dict(labelled=osp.abspath(labelled), images=images)


def pictures_folder(library: str) -> str:
    """Name the folder for the stock test tool's pictures.

    mmdet's tool puts it below its work directory by itself.

    Args:
        library (str): 'mmdet' or 'mmseg'.

    Returns:
        str: What to give to ``--show-dir``.
    """
    if library == 'mmdet':
        return 'pictures'
    return osp.join(OUT, f'test-{library}', 'pictures')


def plan(images: Optional[str]) -> List[Stage]:
    """Lay out all stages.

    Args:
        images (str, optional): Folder to pretrain on, if not the usual one.

    Returns:
        list[Stage]: In order.
    """
    pretrained = osp.join(OUT, 'pretrain', 'last.pth')
    data = []
    if images:
        data = [
            '--cfg-options', f'train_dataloader.dataset.data_root={images}'
        ]
    stages = [
        Stage('pretrain', [
            'tools/train.py', PRETRAIN_CONFIG, '--work-dir',
            osp.join(OUT, 'pretrain'), *data
        ], 5.0),
        Stage('test-pretrained', [
            'tools/test.py', PRETRAIN_CONFIG, pretrained, '--work-dir',
            osp.join(OUT, 'test-pretrained')
        ], 0.5),
        Stage('draw-pretrained', [
            'tools/analysis_tools/visualize_pretraining.py', PRETRAIN_CONFIG,
            pretrained, '--out',
            osp.join(OUT, 'pretraining.png')
        ], 0.3),
    ]
    for library, config in FINETUNE_CONFIGS.items():
        exported = osp.join(OUT, f'mask_jepa_{library}.pth')
        work_dir = osp.join(OUT, f'finetune-{library}')
        last = osp.join(work_dir, 'last.pth')
        stages += [
            Stage(f'export-{library}', [
                'tools/export_pretrained.py', pretrained, '--to', library,
                '--out', exported
            ], 0.1),
            Stage(f'verify-{library}',
                  ['tools/verify_pretrained.py', config, exported], 0.2),
            Stage(f'finetune-{library}', [
                stock_tool(library, 'train.py'), config, '--work-dir',
                work_dir, '--cfg-options',
                f'model.init_cfg.checkpoint={exported}'
            ], 2.0),
            Stage(
                f'test-{library}', [
                    stock_tool(library, 'test.py'), config, last, '--work-dir',
                    osp.join(OUT, f'test-{library}'), '--show-dir',
                    pictures_folder(library), '--cfg-options',
                    f'model.init_cfg.checkpoint={exported}'
                ],
                0.6,
                trusts_own_files=True),
        ]
    return stages


def run_stage(stage: Stage, minutes_left: float) -> float:
    """Run a stage, with a sign of life, and stop where it fails.

    Args:
        stage (Stage): What to run.
        minutes_left (float): For all stages from this one on.

    Returns:
        float: Seconds that it took.

    Raises:
        SystemExit: If the command fails.
    """
    environment = dict(os.environ)
    # Waiting threads that spin make everything crawl on a shared machine.
    environment.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    if stage.trusts_own_files:
        # The stock tools of mmengine 0.10 write checkpoints that torch >= 2.6
        # refuses; this one was written a moment ago, by the stage before.
        environment['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'
    log = osp.join(OUT, f'{stage.name}.log')
    begin = time.time()
    with open(log, 'w') as file:
        process = subprocess.Popen([sys.executable, *stage.command],
                                   stdout=file,
                                   stderr=subprocess.STDOUT,
                                   env=environment)
        while True:
            minutes = (time.time() - begin) / 60
            left = max(minutes_left - min(minutes, stage.minutes), 0.1)
            print(
                f'  {stage.name:16s} {minutes:5.1f} min, about {left:.1f} min '
                'left in all',
                flush=True)
            try:
                process.wait(timeout=30)
                break
            except subprocess.TimeoutExpired:
                continue
    if process.returncode:
        with open(log) as file:
            print(''.join(file.readlines()[-30:]))
        raise SystemExit(f'The stage {stage.name} failed; its whole log is '
                         f'{log}.')
    return time.time() - begin


def link_last_checkpoint(work_dir: str) -> None:
    """Give the newest checkpoint of a run a name that does not change.

    Args:
        work_dir (str): Of a training; nothing is done for another one.
    """
    pointer = osp.join(work_dir, 'last_checkpoint')
    if not osp.isfile(pointer):
        return
    with open(pointer) as file:
        newest = osp.basename(file.read())
    link = osp.join(work_dir, 'last.pth')
    if osp.lexists(link):
        os.remove(link)
    os.symlink(newest, link)


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


def summarise(seconds: Dict[str, float], data: Dict) -> Dict:
    """Collect what was measured.

    Args:
        seconds (dict[str, float]): Of each stage.
        data (dict): As returned by :func:`find_data`.

    Returns:
        dict: Plain types only.
    """
    runs = ['pretrain', *(f'finetune-{library}' for library in FINETUNE_CONFIGS)]
    tests = ['pretrained', *FINETUNE_CONFIGS]
    return dict(
        data=data,
        losses={run: first_and_last_losses(osp.join(OUT, run))
                for run in runs},
        metrics={
            test: tested_metrics(osp.join(OUT, f'test-{test}'))
            for test in tests
        },
        seconds={name: round(value, 1)
                 for name, value in seconds.items()})


def print_table(summary: Dict) -> None:
    """Print what was measured.

    Args:
        summary (dict): As returned by :func:`summarise`.
    """
    from rich.console import Console
    from rich.table import Table
    table = Table('stage', 'seconds', 'result', title='Mask-JEPA quickstart')
    for stage, seconds in summary['seconds'].items():
        result = ''
        if stage in summary['losses']:
            result = ', '.join(
                f'{name} {first:.3f} -> {last:.3f}'
                for name, (first, last) in summary['losses'][stage].items())
        kind, _, test = stage.partition('-')
        if kind == 'test':
            metrics = summary['metrics'][test]
            names = [HEADLINE_METRICS[test]
                     ] if test in HEADLINE_METRICS else list(metrics)
            result = ', '.join(f'{name} {metrics[name]:.3f}' for name in names)
        table.add_row(stage, f'{seconds:.0f}', result)
    Console(width=100).print(table)


def draw_predictions(library: str, num_images: int = 6) -> None:
    """Put some pictures of the stock test tool on one sheet.

    Args:
        library (str): 'mmdet' or 'mmseg'.
        num_images (int): How many. Defaults to 6.
    """
    from matplotlib.figure import Figure
    from matplotlib.image import imread
    folder = osp.join(OUT, f'test-{library}')
    pictures = sorted(
        path for path in glob(f'{folder}/**', recursive=True)
        if path.endswith(('.jpg', '.png')))
    step = max(len(pictures) // num_images, 1)
    chosen = pictures[::step][:num_images]
    figure = Figure(figsize=(12, 2.2 * len(chosen)), layout='constrained')
    figure.suptitle(f'{library}: annotation | prediction', fontsize=9)
    axes = figure.subplots((len(chosen) + 1) // 2, 2, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, path in zip(axes.flat, chosen):
        axis.imshow(imread(path))
    figure.savefig(osp.join(OUT, f'predictions_{library}.png'), dpi=110)


def main() -> None:
    """Take the whole road."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', nargs='?', help='folder of images')
    args = parser.parse_args()
    given = osp.abspath(args.data) if args.data else None
    os.chdir(ROOT)
    os.makedirs(OUT, exist_ok=True)
    data = find_data(given)
    os.environ['MASK_JEPA_DATA'] = data['labelled']
    stages = plan(data['images'])
    print(f'{len(stages)} stages; logs and results in {OUT}. Images: '
          f'{data["images"] or data["labelled"]}.')
    seconds = {}
    for index, stage in enumerate(stages):
        left = sum(later.minutes for later in stages[index:])
        seconds[stage.name] = run_stage(stage, left)
        link_last_checkpoint(osp.join(OUT, stage.name))
    summary = summarise(seconds, data)
    with open(osp.join(OUT, 'summary.json'), 'w') as file:
        json.dump(summary, file, indent=2)
    for library in FINETUNE_CONFIGS:
        draw_predictions(library)
    print_table(summary)
    print(f'Checkpoints, summary.json and pictures are in {OUT}: '
          'pretraining.png, predictions_mmdet.png, predictions_mmseg.png.')


if __name__ == '__main__':
    main()
