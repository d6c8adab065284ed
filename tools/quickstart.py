"""Pretrain, hand over, fine-tune and test at CPU size, and draw the results.

Called by tools/quickstart.sh, which sets up the environment first.
"""
import argparse
import json
import os
import os.path as osp
import re
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple, Optional

# `projects` is found beside this folder, also without an installation.
ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
sys.path.insert(0, ROOT)

from quickstart_summary import draw_predictions, print_table, summarise

from projects.mask_jepa.utils import stock_tool

OUT = osp.join('work_dirs', 'quickstart')
PRETRAIN_CONFIG = 'configs/mask_jepa_r18_tiny.py'
FINETUNE_CONFIGS = dict(
    mmdet='configs/finetune/mmdet/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_small-coco-instance.py',
    mmseg='configs/finetune/mmseg/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py')
# After so few iterations all scores are low; mmseg draws every 50th image.
PICTURE_OPTIONS = dict(
    mmdet=['default_hooks.visualization.score_thr=0.1'],
    mmseg=['default_hooks.visualization.interval=16'])


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
            osp.isdir(osp.join(folder, name))
            for name in ('camvid', 'coco128'))

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


def plan(data: Dict[str, Optional[str]]) -> List[Stage]:
    """Lay out all stages.

    Args:
        data (dict): As returned by :func:`find_data`.

    Returns:
        list[Stage]: In order.
    """
    pretrained = osp.join(OUT, 'pretrain', 'last.pth')
    options = []
    if data['images']:
        options = [
            '--cfg-options',
            f'train_dataloader.dataset.data_root={data["images"]}'
        ]
    stages = [
        Stage('pretrain', [
            'tools/train.py', PRETRAIN_CONFIG, '--work-dir',
            osp.join(OUT, 'pretrain'), *options
        ], 4.0),
        Stage('report', [
            'tools/report.py',
            osp.join(OUT, 'pretrain'), '--out',
            osp.join(OUT, 'report.html')
        ], 0.1),
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
            ], 1.5),
            Stage(
                f'test-{library}', [
                    stock_tool(library, 'test.py'), config, last, '--work-dir',
                    osp.join(OUT, f'test-{library}'), '--show-dir',
                    pictures_folder(library), '--cfg-options',
                    f'model.init_cfg.checkpoint={exported}',
                    *PICTURE_OPTIONS[library]
                ],
                0.6,
                trusts_own_files=True),
        ]
    stages.append(
        Stage('draw-features', [
            'tools/analysis_tools/visualize_features.py',
            osp.join(data['labelled'], 'camvid', 'img_dir', 'val'), '--model',
            'no pretraining', FINETUNE_CONFIGS['mmseg'], 'none', '--model',
            'pretrained', PRETRAIN_CONFIG, pretrained, '--model', 'fine-tuned',
            FINETUNE_CONFIGS['mmseg'],
            osp.join(OUT, 'finetune-mmseg', 'last.pth'), '--image-size', '128',
            '--out',
            osp.join(OUT, 'features.png')
        ], 0.2))
    return stages


class Clock:
    """Estimates how long the road still is.

    Args:
        stages (list[Stage]): All of them.
    """

    def __init__(self, stages: List[Stage]) -> None:
        self.begin = time.time()
        self.stages = stages
        self.done = 0.0  # planned minutes of the finished stages

    def minutes_left(self, stage: Stage, log: str) -> float:
        """Estimate from the pace so far.

        Args:
            stage (Stage): The one that is running.
            log (str): Its log, in which mmengine counts iterations.

        Returns:
            float: Minutes for this stage and all later ones.
        """
        with open(log) as file:
            counts = re.findall(r'\[ *(\d+)/(\d+)\]', file.read())
        progress = int(counts[-1][0]) / int(counts[-1][1]) if counts else 0.0
        planned = sum(each.minutes for each in self.stages)
        done = self.done + progress * stage.minutes
        elapsed = (time.time() - self.begin) / 60
        # The start, before any iteration, says nothing of the pace.
        pace = elapsed / done if done > 0.2 else 1.0
        return (planned - done) * pace


def run_stage(stage: Stage, clock: Clock) -> float:
    """Run a stage, with a sign of life, and stop where it fails.

    Args:
        stage (Stage): What to run.
        clock (Clock): Of the whole road.

    Returns:
        float: Seconds that it took.

    Raises:
        SystemExit: If the command fails.
    """
    environment = dict(os.environ)
    # Threads that spin for long make everything crawl on a shared machine.
    environment.setdefault('GOMP_SPINCOUNT', '10000')
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
        running = True
        while running:
            print(
                f'  {stage.name:16s} {(time.time() - begin) / 60:4.1f} min; '
                f'about {clock.minutes_left(stage, log):4.1f} min left in all',
                flush=True)
            try:
                process.wait(timeout=30)
                running = False
            except subprocess.TimeoutExpired:
                pass
    if process.returncode:
        with open(log) as file:
            print(''.join(file.readlines()[-30:]))
        raise SystemExit(f'The stage {stage.name} failed; its whole log is '
                         f'{log}.')
    clock.done += stage.minutes
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
    stages = plan(data)
    print(f'{len(stages)} stages; logs and results in {OUT}. Images: '
          f'{data["images"] or data["labelled"]}.')
    seconds = {}
    clock = Clock(stages)
    for stage in stages:
        seconds[stage.name] = run_stage(stage, clock)
        link_last_checkpoint(osp.join(OUT, stage.name))
    summary = summarise(OUT, list(FINETUNE_CONFIGS), seconds, data)
    with open(osp.join(OUT, 'summary.json'), 'w') as file:
        json.dump(summary, file, indent=2)
    for library in FINETUNE_CONFIGS:
        draw_predictions(OUT, library)
    print_table(summary)
    print(f'Checkpoints, summary.json and pictures are in {OUT}: '
          'report.html, pretraining.png, features.png, '
          'predictions_mmdet.png, predictions_mmseg.png.')


if __name__ == '__main__':
    main()
