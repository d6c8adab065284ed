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

import mmcv
import numpy as np
from mmengine.config import Config
from pycocotools.coco import COCO
from quickstart_summary import draw_predictions, print_table, summarise

from mask_jepa.datasets import UnlabeledImageDataset
from mask_jepa.utils import evenly_spread, load_config, stock_tool

OUT = 'work_dirs/quickstart'
PRETRAIN_CONFIG = 'configs/mask_jepa_r18_tiny.py'
FINETUNE_CONFIGS = dict(
    mmdet='configs/finetune/mmdet/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_small-coco-instance.py',
    mmseg='configs/finetune/mmseg/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py')
# Nuclei under the microscope: where the small sets are not at hand, their
# labels are used, with these settings.
NUCLEI = 'demo/nuclei'
NUCLEI_CONFIGS = dict(
    FINETUNE_CONFIGS,
    mmdet='configs/finetune/mmdet/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_small-coco-person.py')
SPLITS = ('train', 'val', 'test')
NUCLEI_OPTIONS = dict(
    pretrain=' '.join(f'{part}.metainfo.classes=[background,nucleus] '
                      f'{part}.img_suffix=.png'
                      for part in ('val_dataloader.dataset',
                                   'val_cfg.train_dataset')),
    mmdet=' '.join(f'{split}_dataloader.dataset.metainfo.classes=[nucleus]'
                   for split in SPLITS),
    mmseg=' '.join([
        'default_hooks.visualization.interval=1',  # There are eight images.
        'model.decode_head.num_classes=2',
        'model.decode_head.loss_cls.class_weight=[1.0,1.0,0.1]',
        *(f'{split}_dataloader.dataset.{setting}' for split in SPLITS
          for setting in ('img_suffix=.png',
                          'metainfo.classes=[background,nucleus]',
                          'metainfo.palette=[[0,0,0],[220,20,60]]'))
    ]))
# Of one's own images, a tenth, but so many at least and at most, are held out
# for pictures and tests.
MIN_HELD_OUT, MAX_HELD_OUT = 4, 100
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
        dict: ``labelled``, the folder with camvid/ and coco128/; ``images``, a
        folder to pretrain on instead, or None; and of that ``train`` and
        ``held_out``, lists of images.
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
        labelled = lay_out_nuclei()
        print('The small sets of photographs were not found: labels are those '
              f'of the nuclei in {NUCLEI}.')
    # In a config its path may hold no quotes.
    link = Path(OUT, 'labelled')
    link.unlink(missing_ok=True)
    lists = hold_out(images) if images else {}
    link.symlink_to(osp.abspath(labelled))
    return dict(labelled=osp.abspath(labelled), images=images, **lists)


def lay_out_nuclei() -> str:
    """Lay the nuclei out as the small sets, with label maps; return where."""
    folder = Path(OUT, 'nuclei')
    for split in ('train', 'val'):
        coco = COCO(f'{NUCLEI}/instances_{split}.json')
        labels = folder / 'camvid/ann_dir' / split
        for image in coco.loadImgs(coco.getImgIds()):
            label_map = np.zeros((image['height'], image['width']), np.uint8)
            for nucleus in coco.imgToAnns[image['id']]:
                label_map |= coco.annToMask(nucleus)
            mmcv.imwrite(label_map, str(labels / image['file_name']))
        for place, source in {
                f'camvid/img_dir/{split}':
                split,
                f'coco128/{split}2017':
                split,
                f'coco128/annotations/instances_{split}2017.json':
                f'instances_{split}.json'
        }.items():
            place = folder / place
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(osp.abspath(f'{NUCLEI}/{source}'))
    return str(folder)


def hold_out(folder: str) -> Dict[str, str]:
    """Keep some images of a folder out of the training, evenly spread.

    Returns:
        dict: ``train`` and ``held_out``, the lists that were written; of less
        than eight images both hold all.
    """
    try:
        paths = [
            each['img_path'] for each in UnlabeledImageDataset(
                folder, pipeline=[], lazy_init=True).load_data_list()
        ]
    except ValueError as error:
        raise SystemExit(str(error))
    count = min(max(len(paths) // 10, MIN_HELD_OUT), MAX_HELD_OUT)
    if len(paths) < 2 * MIN_HELD_OUT:
        held_out = train = paths
    else:
        held_out = [paths[each] for each in evenly_spread(len(paths), count)]
        train = sorted(set(paths).difference(held_out))
    lists = {}
    for name, chosen in dict(train=train, held_out=held_out).items():
        lists[name] = f'{OUT}/your_images_{name}.txt'
        Path(lists[name]).write_bytes(os.fsencode('\n'.join(chosen)))
    print(f'{len(train)} of your images are pretrained on, and '
          f'{len(held_out)} are kept for pictures and tests.')
    return lists


def plan(data: Dict[str, Optional[str]]) -> List[Stage]:
    """Lay out all stages, in order, for the images of :func:`find_data`."""
    is_nuclei = data['labelled'] == osp.abspath(f'{OUT}/nuclei')
    options = NUCLEI_OPTIONS if is_nuclei else {}
    configs = NUCLEI_CONFIGS if is_nuclei else FINETUNE_CONFIGS
    pretrained = f'{OUT}/pretrain/last.pth'
    settings = [options.get('pretrain')]
    test_images = ''
    if data['images']:
        test_images = f'--data {data["held_out"]} '
        # Not by --data, which would leave out the probe.
        settings += [
            f'train_dataloader.dataset.data_root={data["train"]}',
            f'test_dataloader.dataset.data_root={data["held_out"]}'
        ]
    settings = ' '.join(filter(None, settings))
    stages = [
        Stage(
            'pretrain', 4.0,
            f'tools/train.py {PRETRAIN_CONFIG} --work-dir {OUT}/pretrain ' +
            (f'--cfg-options {settings}' if settings else '')),
        Stage('report', 0.1,
              f'tools/report.py {OUT}/pretrain --out {OUT}/report.html'),
        Stage(
            'test-pretrained', 0.5,
            f'tools/test.py {PRETRAIN_CONFIG} {pretrained} {test_images}'
            f'--work-dir {OUT}/test-pretrained'),
        Stage(
            'draw-pretrained', 0.3,
            'tools/analysis_tools/visualize_pretraining.py '
            f'{PRETRAIN_CONFIG} {pretrained} {test_images}'
            f'--out {OUT}/pretraining.png'),
    ]
    configs = {
        library: readable_config(library, config)
        for library, config in configs.items()
    }
    for library, config in configs.items():
        train = shlex.quote(stock_tool(library, 'train.py'))
        test = shlex.quote(stock_tool(library, 'test.py'))
        exported = f'{OUT}/mask_jepa_{library}.pth'
        init = (f'model.init_cfg.checkpoint={exported} ' +
                options.get(library, ''))
        work_dir = f'{OUT}/finetune-{library}'
        pictures, option = PICTURE_OPTIONS[library]
        stages += [
            Stage(
                f'export-{library}', 0.1,
                f'tools/export_pretrained.py {pretrained} --to {library} '
                f'--out {exported}'),
            Stage(
                f'verify-{library}', 0.2,
                f'tools/verify_pretrained.py {config} {exported} '
                f'--cfg-options {init}'),
            Stage(
                f'finetune-{library}', 1.5,
                f'{train} {config} --work-dir {work_dir} '
                f'--cfg-options {init}'),
            Stage(
                f'test-{library}', 0.6, f'{test} {config} {work_dir}/last.pth '
                f'--work-dir {OUT}/test-{library} --show-dir {pictures} '
                f'--cfg-options {option} {init}', True),
        ]
    images = data.get('held_out') or f'{OUT}/labelled/camvid/img_dir/val'
    finetuned = configs['mmseg']
    stages.append(
        Stage(
            'draw-features', 0.2,
            f'tools/analysis_tools/visualize_features.py {images} '
            f'--model "no pretraining" {finetuned} none '
            f'--model pretrained {PRETRAIN_CONFIG} {pretrained} '
            f'--model fine-tuned {finetuned} {OUT}/finetune-mmseg/last.pth '
            f'--image-size 128 --out {OUT}/features.png'))
    return stages


def readable_config(library: str, config: str) -> str:
    """Find a config that a library's own tools can read: itself, or where
    mmengine does not find what it inherits (onedl-mmengine: configs of mmseg),
    the whole of it in a file."""
    try:
        Config.fromfile(config)
    except ImportError:
        whole = f'{OUT}/finetune_{library}.py'
        load_config(config).dump(whole)
        return whole
    return config


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


def whose(data: Dict[str, Optional[str]]) -> str:
    """Name the images that are pretrained on."""
    return data['images'] or data['labelled']


def main() -> None:
    """Take the whole road."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'data', nargs='?', type=osp.abspath, help='folder of images')
    args = parser.parse_args()
    os.chdir(ROOT)
    # Of an earlier quickstart, which a training would not write over, and
    # whose pictures would be among the new ones.
    for name in ('pretrain', 'test-mmdet', 'test-mmseg'):
        shutil.rmtree(f'{OUT}/{name}', ignore_errors=True)
    os.makedirs(OUT, exist_ok=True)
    data = find_data(args.data)
    os.environ['MASK_JEPA_DATA'] = f'{OUT}/labelled'
    stages = plan(data)
    print(f'{len(stages)} stages; logs and results in {OUT}. Images: '
          f'{whose(data)}; with labels, for probe and fine-tunings: '
          f'{data["labelled"]}.')
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
    print(f'Checkpoints and summary.json are in {OUT}. Pictures: report.html, '
          f'pretraining.png and features.png of {whose(data)}; '
          'predictions_mmdet.png, predictions_mmseg.png and the probe in '
          f'report.html of {data["labelled"]}.')


if __name__ == '__main__':
    main()
