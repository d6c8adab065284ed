"""Trainings that are ended from within or without, and their comparison."""
import builtins
import copy
import gc
import io
import os
import re
import shutil
import signal
import socket
import time
from fnmatch import fnmatch
from pathlib import Path
from unittest.mock import patch

import torch
from mmengine.config import Config
from scenes_and_globals import TINY_OPTIONS, YAPF_USERS, draw_scene
from warm_python import ROOT, SERVER, become

ITERATIONS, INTERVAL = 8, 2
TINY = 'configs/mask_jepa_r18_tiny.py'
NARROW = {
    'model.backbone.base_channels': 8,
    'model.backbone.stem_channels': 8,
    'model.backbone.norm_cfg.num_groups': 8,
    'model.panoptic_head.in_channels': [8, 16, 32, 64]
}
RUN = {
    'train_cfg.max_iters': ITERATIONS,
    'train_cfg.val_interval': 4,
    # So that there is a best checkpoint, too.
    'val_cfg': dict(_delete_=True, type='ValLoop'),
    'val_evaluator': dict(_delete_=True, type='PretrainMetric'),
    'default_hooks.checkpoint.interval': INTERVAL,
    'default_hooks.checkpoint.max_keep_ckpts': 2,
    'default_hooks.checkpoint.save_best': 'pretrain/prediction_error',
    'default_hooks.checkpoint.rule': 'less',
    'env_cfg.dist_cfg.timeout': 60
}
VARIANTS = dict(
    plain={},
    workers={'train_dataloader.num_workers': 4},
    accumulation={'optim_wrapper.accumulative_counts': 2},
    bfloat16={
        'optim_wrapper.type': 'AmpOptimWrapper',
        'optim_wrapper.dtype': 'bfloat16',
        'optim_wrapper.loss_scale': dict(enabled=False)
    },
    processes={})
# What a run writes, and at least how often.
WRITES = {
    '.iter_*.pth.partial': 4,
    'replace iter_*.pth': 4,
    '.last_checkpoint.partial': 4,
    'remove iter_*.pth': 2,
    '.best_*.pth.partial': 1,
    '.mask_jepa_*.pth.partial': 2,
    '.image_list.txt.partial': 1,
    'scalars.json': 10,
    '*.log': 20,
    'config.py': 1,
    '.lock': 1
}


def be_victim(blow, *command):
    """Be the process of a command, which a blow may end."""
    # Yapf takes seconds to lay a config out.
    for module in YAPF_USERS:
        patch(
            f'{module}.FormatCode',
            lambda text, **kwargs: (text, True),
            create=True).start()
    patch(
        'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available',
        lambda: True).start()
    gc.freeze()  # what was imported, which takes long to look through
    if blow:
        strike_within(*blow)
    become(*command)


def strike_within(pattern, number, share):
    """Let SIGKILL end this process within a write, a renaming or a removal.

    Args:
        pattern (str): Of the file's name, as in ``WRITES``.
        number (int): Which of these writes, from 1.
        share (float): Of the content, which is written before.
    """
    numbers = iter(range(1, number + 1))

    def is_next(what):
        return fnmatch(what, pattern) and next(numbers) == number

    def strike():
        os.kill(os.getpid(), signal.SIGKILL)

    def striking_open(file, *args, plain=open, **kwargs):
        opened = plain(file, *args, **kwargs)
        name = os.path.basename(str(file))
        if opened.writable() and fnmatch(name, pattern):
            write = opened.write

            def striking_write(content):
                if is_next(name):
                    write(content[:int(share * len(content))])
                    opened.flush()
                    strike()
                return write(content)

            opened.write = striking_write
        return opened

    builtins.open = io.open = striking_open
    for name in ('replace', 'remove'):

        def striking(*paths, name=name, plain=getattr(os, name), **kwargs):
            if is_next(f'{name} {os.path.basename(str(paths[-1]))}'):
                if share > 0.5:
                    plain(*paths, **kwargs)
                strike()
            return plain(*paths, **kwargs)

        setattr(os, name, striking)


def start(output, *command, blow=None, **environment):
    """Start a command; what it says goes to a file."""
    Path(output).write_text('')
    process = SERVER.Process(
        target=be_victim,
        args=(blow, command[0], list(map(str, command[1:])), {
            **os.environ, 'OMP_NUM_THREADS': '1',
            **environment
        }, str(output)))
    process.start()
    return process


def finish(processes):
    """Wait as torchrun does: what fails ends the others.

    Returns:
        list[int]: The exit statuses.
    """
    deadline = None
    while any(each.is_alive() for each in processes):
        time.sleep(0.02)
        failed = any(each.exitcode for each in processes)
        if failed and deadline is None:
            deadline = time.monotonic() + 30
            for each in processes:
                each.terminate()
        elif failed and time.monotonic() > deadline:
            for each in processes:
                each.kill()
    return [each.exitcode for each in processes]


class Bench:
    """Where trainings are started, and compared with unbroken ones.

    Args:
        folder (Path): Of images, configs and runs.
    """

    def __init__(self, folder):
        self.folder = folder
        self.images = folder / 'images'
        self.run = folder / 'run'
        self.output = folder / 'output.txt'
        self.images.mkdir(parents=True, exist_ok=True)
        for index in range(8):
            draw_scene(index).save(self.images / f'scene_{index}.png')

    def config(self, name, options):
        """Write a config, unless it is there."""
        path = self.folder / f'{name}.py'
        if not path.exists():
            config = Config.fromfile(str(ROOT / TINY))
            config.merge_from_dict(TINY_OPTIONS)
            config.merge_from_dict(copy.deepcopy({**NARROW, **options}))
            config.train_dataloader.dataset.data_root = str(self.images)
            config.test_dataloader.update(num_workers=0, batch_size=2)
            config.test_dataloader.pop('persistent_workers', None)
            config.test_dataloader.dataset.update(
                data_root=str(self.images), crop_size=64, indices=2)
            if config.get('val_cfg'):
                config.val_dataloader = config.test_dataloader
            config.dump(path)
        return path

    def train(self, variant, *options, work_dir=None, blow=None):
        """Start the processes of a training."""
        command = [
            'tools/train.py',
            self.config(variant, {
                **RUN,
                **VARIANTS[variant]
            }), '--work-dir', work_dir or self.run, *options
        ]
        if variant != 'processes':
            return [start(self.output, *command, blow=blow)]
        with socket.socket() as free:
            free.bind(('localhost', 0))
            port = str(free.getsockname()[1])
        return [
            start(
                self.folder / f'output_{rank}.txt' if rank else self.output,
                *command,
                '--launcher',
                'pytorch',
                blow=None if rank else blow,
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE='2',
                MASTER_ADDR='localhost',
                MASTER_PORT=port) for rank in range(2)
        ]

    def whole(self, variant):
        """The folder of a run that nothing disturbs."""
        folder = self.folder / 'whole' / variant
        if not (folder / 'mask_jepa_mmseg.pth').exists():
            shutil.rmtree(folder, ignore_errors=True)
            statuses = finish(self.train(variant, work_dir=folder))
            assert not any(statuses), self.output.read_text()[-2000:]
        return folder

    def resume(self, variant, what):
        """Go on, and compare with a whole run; an AssertionError says what was
        done if they are not equal."""
        try:
            self._resume(variant)
        except AssertionError as error:
            raise AssertionError(f'{what}: {error}') from error

    def _resume(self, variant):
        # A checkpoint of a stop counts among those that are kept.
        saved = {int(each.stem.removeprefix('iter_'))
                 for each in self.run.glob('iter_*.pth')}
        statuses = finish(self.train(variant, '--resume'))
        assert not any(statuses), self.output.read_text()[-2000:]
        whole = self.whole(variant)
        files, expected = ({each.name for each in folder.iterdir()
                            if each.suffix in ('.pth', '.partial')}
                           for folder in (self.run, whole))
        saved.update(range(INTERVAL, ITERATIONS + 1, INTERVAL))
        expected = {name for name in expected if not name.startswith('iter_')}
        expected.update(f'iter_{each}.pth' for each in sorted(saved)[-2:])
        assert files == expected, f'{files} is left'
        for name in files:
            if (whole / name).exists():
                require_equal(load(self.run / name), load(whole / name))


def load(path):
    return torch.load(path, weights_only=True)


def require_equal(one, other):
    """Compare weights, optimiser and schedules of two checkpoints."""
    assert one['state_dict'].keys() == other['state_dict'].keys()
    for key, value in one['state_dict'].items():
        assert torch.equal(value, other['state_dict'][key]), key
    for index, moments in one.get('optimizer', {}).get('state', {}).items():
        for key, value in moments.items():
            assert torch.equal(value,
                               other['optimizer']['state'][index][key]), key
    assert one.get('param_schedulers') == other.get('param_schedulers')
    scores = [
        each['message_hub']['runtime_info'].get('best_score')
        for each in (one, other) if 'message_hub' in each
    ]
    assert len(set(scores)) < 2, scores


def logged_steps(folder):
    """The iterations that a run has logged, in the order of its sessions."""
    return [
        int(step) for path in sorted(folder.glob('*/vis_data/scalars.json'))
        for step in re.findall(r'"loss": .*"step": (\d+)\}', path.read_text())
    ]
