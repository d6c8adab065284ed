"""Pretrain, hand over, fine-tune and test at CPU size, and draw the results.

Called by tools/quickstart.sh, which sets up the environment first.
"""
import argparse
import json
import os
import os.path as osp
import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

# `mask_jepa` is found beside this folder, also without an installation.
ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
sys.path.insert(0, ROOT)

from quickstart_summary import draw_predictions, print_table, summarise

from mask_jepa.utils import stock_tool

OUT = 'work_dirs/quickstart'
PRETRAIN_CONFIG = 'configs/mask_jepa_r18_tiny.py'
FINETUNE_CONFIGS = dict(
    mmdet='configs/finetune/mmdet/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_small-coco-instance.py',
    mmseg='configs/finetune/mmseg/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py')
# mmdet's tool puts the folder of the pictures below its work directory by
# itself. After so few iterations all scores are low; mmseg draws every 50th
# image.
PICTURE_OPTIONS = dict(
    mmdet=('pictures', 'default_hooks.visualization.score_thr=0.1'),
    mmseg=(f'{OUT}/test-mmseg/pictures',
           'default_hooks.visualization.interval=16'))


class Stage(NamedTuple):
    """One command of the road."""

    name: str  # also of its log
    minutes: float  # on two CPU cores, for the estimate
    command: str  # for the Python interpreter, quoted as for a shell
    trusts_own_files: bool = False  # of the stage before it


def find_data(wanted: Optional[str]) -> Dict[str, Optional[str]]:
    """Decide which images to use.

    Returns:
        dict: ``labelled``, the folder with camvid/ and coco128/, and
        ``images``, a folder to pretrain on instead, or None.
    """

    def is_labelled(folder: str) -> bool:
        return osp.isdir(f'{folder}/camvid') and osp.isdir(f'{folder}/coco128')

    if wanted and not osp.isdir(wanted):
        raise SystemExit(f'There is no folder at {wanted}.')
    images = None
    if wanted and not is_labelled(wanted):
        images, wanted = wanted, None
    labelled = wanted or os.environ.get('MASK_JEPA_DATA', '../shared/data')
    if not is_labelled(labelled):
        labelled = 'work_dirs/scenes'
        print('The small real sets were not found: scenes are generated.')
        subprocess.run(
            [sys.executable, 'tools/misc/generate_scenes.py', labelled],
            check=True)
    return dict(labelled=osp.abspath(labelled), images=images)


def plan(data: Dict[str, Optional[str]]) -> List[Stage]:
    """Lay out all stages, in order, for the images of :func:`find_data`."""
    pretrained = f'{OUT}/pretrain/last.pth'
    pretrain = f'tools/train.py {PRETRAIN_CONFIG} --work-dir {OUT}/pretrain'
    if data['images']:
        option = f'train_dataloader.dataset.data_root={data["images"]}'
        pretrain += f' --cfg-options {shlex.quote(option)}'
    stages = [
        Stage('pretrain', 4.0, pretrain),
        Stage('report', 0.1,
              f'tools/report.py {OUT}/pretrain --out {OUT}/report.html'),
        Stage(
            'test-pretrained', 0.5,
            f'tools/test.py {PRETRAIN_CONFIG} {pretrained} '
            f'--work-dir {OUT}/test-pretrained'),
        Stage(
            'draw-pretrained', 0.3,
            'tools/analysis_tools/visualize_pretraining.py '
            f'{PRETRAIN_CONFIG} {pretrained} --out {OUT}/pretraining.png'),
    ]
    for library, config in FINETUNE_CONFIGS.items():
        train = shlex.quote(stock_tool(library, 'train.py'))
        test = shlex.quote(stock_tool(library, 'test.py'))
        exported = f'{OUT}/mask_jepa_{library}.pth'
        init = f'model.init_cfg.checkpoint={exported}'
        work_dir = f'{OUT}/finetune-{library}'
        pictures, option = PICTURE_OPTIONS[library]
        stages += [
            Stage(
                f'export-{library}', 0.1,
                f'tools/export_pretrained.py {pretrained} --to {library} '
                f'--out {exported}'),
            Stage(f'verify-{library}', 0.2,
                  f'tools/verify_pretrained.py {config} {exported}'),
            Stage(
                f'finetune-{library}', 1.5,
                f'{train} {config} --work-dir {work_dir} '
                f'--cfg-options {init}'),
            Stage(
                f'test-{library}', 0.6, f'{test} {config} {work_dir}/last.pth '
                f'--work-dir {OUT}/test-{library} --show-dir {pictures} '
                f'--cfg-options {init} {option}', True),
        ]
    images = shlex.quote(osp.join(data['labelled'], 'camvid/img_dir/val'))
    finetuned = FINETUNE_CONFIGS['mmseg']
    stages.append(
        Stage(
            'draw-features', 0.2,
            f'tools/analysis_tools/visualize_features.py {images} '
            f'--model "no pretraining" {finetuned} none '
            f'--model pretrained {PRETRAIN_CONFIG} {pretrained} '
            f'--model fine-tuned {finetuned} {OUT}/finetune-mmseg/last.pth '
            f'--image-size 128 --out {OUT}/features.png'))
    return stages


class Clock:
    """Estimates how long the road still is."""

    def __init__(self, stages: List[Stage]) -> None:
        self.begin = time.time()
        self.planned = sum(stage.minutes for stage in stages)
        self.done = 0.0  # planned minutes of the finished stages

    def minutes_left(self, stage: Stage, log: Path) -> float:
        """Estimate from the pace, and the iterations that the log counts."""
        counts = re.findall(r'\[ *(\d+)/(\d+)\]', log.read_text())
        progress = int(counts[-1][0]) / int(counts[-1][1]) if counts else 0.0
        done = self.done + progress * stage.minutes
        elapsed = (time.time() - self.begin) / 60
        # The start, before any iteration, says nothing of the pace.
        pace = elapsed / done if done > 0.2 else 1.0
        return (self.planned - done) * pace


def run_stage(stage: Stage, clock: Clock) -> float:
    """Run a stage, with a sign of life, and stop where it fails.

    Returns:
        float: Seconds that it took.
    """
    # Threads that spin for long make everything crawl on a shared machine.
    environment = {'GOMP_SPINCOUNT': '10000', **os.environ}
    if stage.trusts_own_files:
        # The stock tools of mmengine 0.10 write checkpoints that torch >= 2.6
        # refuses; this one was written a moment ago, by the stage before.
        environment['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'
    log = Path(OUT, f'{stage.name}.log')
    begin = time.time()
    with log.open('w') as file:
        process = subprocess.Popen(
            [sys.executable, *shlex.split(stage.command)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment)
    while process.returncode is None:
        print(
            f'  {stage.name:16s} {(time.time() - begin) / 60:4.1f} min; '
            f'about {clock.minutes_left(stage, log):4.1f} min left in all',
            flush=True)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
    if process.returncode:
        print('\n'.join(log.read_text().splitlines()[-30:]))
        raise SystemExit(f'The stage {stage.name} failed; its whole log is '
                         f'{log}.')
    clock.done += stage.minutes
    return time.time() - begin


def link_last_checkpoint(work_dir: Path) -> None:
    """Give the newest checkpoint of a training, if any, a constant name."""
    pointer = work_dir / 'last_checkpoint'
    if pointer.is_file():
        link = work_dir / 'last.pth'
        link.unlink(missing_ok=True)
        link.symlink_to(osp.basename(pointer.read_text()))


def main() -> None:
    """Take the whole road."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'data', nargs='?', type=osp.abspath, help='folder of images')
    args = parser.parse_args()
    os.chdir(ROOT)
    # Of an earlier quickstart, which a training would not write over.
    shutil.rmtree(f'{OUT}/pretrain', ignore_errors=True)
    os.makedirs(OUT, exist_ok=True)
    data = find_data(args.data)
    os.environ['MASK_JEPA_DATA'] = data['labelled']
    stages = plan(data)
    print(f'{len(stages)} stages; logs and results in {OUT}. Images: '
          f'{data["images"] or data["labelled"]}.')
    seconds = {}
    clock = Clock(stages)
    for stage in stages:
        seconds[stage.name] = run_stage(stage, clock)
        link_last_checkpoint(Path(OUT, stage.name))
    summary = summarise(OUT, list(FINETUNE_CONFIGS), seconds, data)
    Path(OUT, 'summary.json').write_text(json.dumps(summary, indent=2))
    for library in FINETUNE_CONFIGS:
        draw_predictions(OUT, library)
    print_table(summary)
    print(f'Checkpoints, summary.json and pictures are in {OUT}: '
          'report.html, pretraining.png, features.png, '
          'predictions_mmdet.png, predictions_mmseg.png.')


if __name__ == '__main__':
    main()
