"""Kill, damage and deceive trainings in numbers, and let one run for long.

    python tests/test_faults/endurance.py work_dirs/endurance --seed 0

Each result goes to results.json in the folder at once, from which a proof that
was interrupted goes on; table.md has the sums. What is lost stays in a folder
of its own. Exit status 1 if anything is.
"""
import argparse
import builtins
import copy
import gc
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import date
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from statistics import fmean, median
from unittest.mock import patch

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parents[1]), str(FOLDER.parent)]

import torch
from mmengine.config import Config
from scenes_and_globals import TINY_OPTIONS, draw_scene
from warm_python import ROOT, SERVER, become

from projects.mask_jepa.report import read_run
from projects.mask_jepa.utils import find_newest_whole

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
SIGNALS = 5 * [signal.SIGKILL] + 2 * [signal.SIGTERM] + 2 * [signal.SIGINT]
DAMAGES = ('a bit', 'a lost byte', 'the end', 'zeros', 'noise', 'all of it',
           'a text', 'NaN', 'a pipe', 'a link to nothing')


# Processes.


def be_victim(blow, *command):
    """Be the process of a command, which a blow may end."""
    # Yapf takes seconds to lay a config out.
    patch('mmengine.config.config.FormatCode',
          lambda text, **kwargs: (text, True)).start()
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

    def resume(self, variant):
        """Go on; raise an AssertionError unless it ends as a whole run."""
        statuses = finish(self.train(variant, '--resume'))
        assert not any(statuses), self.output.read_text()[-2000:]
        whole = self.whole(variant)
        name = f'iter_{ITERATIONS}.pth'
        require_equal(*(load(each / name) for each in (self.run, whole)))
        for library in ('mmdet', 'mmseg'):
            name = f'mask_jepa_{library}.pth'
            require_equal(*(load(each / name) for each in (self.run, whole)))
        found = {each.name for each in self.run.iterdir() if each.is_file()}
        assert found == {
            each.name for each in whole.iterdir() if each.is_file()
        }, found


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


def logged_steps(folder):
    """The iterations that a run has logged, in the order of its sessions."""
    return [
        int(step) for path in sorted(folder.glob('*/vis_data/scalars.json'))
        for step in re.findall(r'"loss": .*"step": (\d+)\}', path.read_text())
    ]


# Trials. Each returns what was done, and to what.


def kill(bench, chance, number, seed):
    """End a run, and go on."""
    blows = list(product(VARIANTS, [*WRITES, *SIGNALS]))
    random.Random(seed).shuffle(blows)
    variant, blow = blows[number % len(blows)]
    whole = bench.whole(variant)
    seconds = ((whole / 'mask_jepa_mmseg.pth').stat().st_mtime -
               (whole / 'image_list.txt').stat().st_mtime)
    statuses = [0]
    while not any(statuses):  # It may have come to its end before.
        shutil.rmtree(bench.run, ignore_errors=True)
        if blow in WRITES:
            when = (blow, chance.randint(1, WRITES[blow]), chance.random())
            statuses = finish(bench.train(variant, blow=when))
            expected = {-signal.SIGKILL}
            told = 0
        else:
            processes = bench.train(variant)
            told = chance.randrange(len(processes))
            if chance.random() < 0.75:  # else before the training begins
                while (not (bench.run / 'image_list.txt').exists()
                       and processes[0].is_alive()):
                    time.sleep(0.005)
            when = (blow.name, chance.uniform(0, seconds))
            time.sleep(when[1])
            os.kill(processes[told].pid, blow)
            statuses = finish(processes)
            # What Python does with SIGINT before and after a training is 1.
            expected = {-blow, 128 + blow, 1 if blow == signal.SIGINT else 0}
    what = f'{variant}, {when}, statuses {statuses}'
    assert statuses[told] in expected, what
    newest, complaints = find_newest_whole(str(bench.run))
    assert not complaints, f'{what}: {complaints}'
    saved = load(newest)['meta']['iter'] if newest else 0
    steps = logged_steps(bench.run)
    if steps:
        read_run(str(bench.run))
        last = max(steps)
        if statuses[told] < 100:
            last = (last - 1) // INTERVAL * INTERVAL
        assert saved >= last, f'{what}: {saved} saved of {max(steps)}'
    try:
        bench.resume(variant)
    except AssertionError as error:
        raise AssertionError(f'{what}: {error}') from error
    row = 'SIGKILL in a write' if blow in WRITES else blow.name
    return row, f'{what}, {saved} saved of {max(steps, default=0)}'


def damage(bench, chance, number, seed):
    """Spoil the newest checkpoint of a run, and go on."""
    how = DAMAGES[number % len(DAMAGES)]
    whole = bench.whole('plain')
    shutil.rmtree(bench.run, ignore_errors=True)
    shutil.copytree(whole, bench.run)
    path = bench.run / f'iter_{ITERATIONS}.pth'
    spoil(path, how, chance)
    bench.resume('plain')
    said = str(path) in bench.output.read_text().partition('resumed epoch')[0]
    return 'damaged checkpoint', f'{how}, {"said" if said else "without effect"}'


def spoil(path, how, chance):
    """Damage a checkpoint in one of the ways of ``DAMAGES``."""
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    block = slice(place, min(place + 4096, len(content)))
    size = block.stop - block.start
    if how == 'a bit':
        content[place] ^= 1 << chance.randrange(8)
    elif how == 'a lost byte':
        del content[place]
    elif how == 'the end':
        del content[place:]
    elif how == 'zeros':
        content[block] = bytes(size)
    elif how == 'noise':
        content[block] = chance.randbytes(size)
    elif how == 'a text':
        content = b'moved to the archive\n'
    elif how == 'all of it':
        content = b''
    path.write_bytes(content)
    if how == 'NaN':
        checkpoint = load(path)
        name = chance.choice(
            [key for key, value in checkpoint['state_dict'].items()
             if value.is_floating_point() and value.numel()])
        checkpoint['state_dict'][name].view(-1)[0] = float('nan')
        torch.save(checkpoint, path)
    elif how == 'a pipe':
        path.unlink()
        os.mkfifo(path)
    elif how == 'a link to nothing':
        path.unlink()
        path.symlink_to('gone.pth')


def misconfigure(bench, chance, number, seed):
    """Train with a wrong setting, by the command."""
    from test_wrong_configs import DATA, WRONG
    rows = random.Random(seed).sample(WRONG, len(WRONG))
    options, sentence = rows[number % len(rows)]
    shutil.rmtree(bench.run, ignore_errors=True)
    status, = finish([
        start(bench.output, 'tools/train.py', TINY, '--work-dir', bench.run,
              '--cfg-options', f'{DATA}.data_root={bench.images}',
              *options.split(' '))
    ])
    output = bench.output.read_text()
    assert (status, output) == (2, f'{sentence}\n'), f'{options}: {output}'
    assert not bench.run.exists(), options
    return 'wrong config', options


def mutate_images(bench, chance, number, seed):
    """Read 500 mutated images."""
    result = subprocess.run(
        [sys.executable, FOLDER / 'fuzz_images.py', '500', '--seed',
         str(10 * seed + number)],
        capture_output=True, text=True)
    output = result.stdout[-200:] + result.stderr[-2000:]
    assert result.returncode == 0, output
    return '500 damaged images', output.splitlines()[-1]


def deceive(bench, chance, number, seed):
    """Give a file that holds a program to a command."""
    from test_programs_in_files import FORMATS, PROGRAMS, STOCK, WEIGHTS
    shutil.rmtree(bench.run, ignore_errors=True)
    bench.run.mkdir()
    mark = bench.folder / 'it_ran'
    path = bench.run / 'iter_7.pth'
    config = bench.config('plain', RUN)
    train = ['tools/train.py', config, '--work-dir']
    other = bench.folder / 'other'
    shutil.rmtree(other, ignore_errors=True)
    commands = [
        [*train, bench.run, '--resume'],
        [*train, other, '--resume', path],
        [*train, other, '--init', path],
        [*train, other, '--cfg-options', 'model.init_cfg.type=Pretrained',
         f'model.init_cfg.checkpoint={path}'],
        ['tools/test.py', config, path, '--work-dir', other],
        ['tools/export_pretrained.py', path, '--to', 'mmdet', '--out',
         other / 'export.pth'],
        ['tools/import_pretrained.py', path, '--from', 'mmdet', '--config',
         config, '--out', other / 'init.pth'],
        ['tools/verify_pretrained.py', chance.choice([*STOCK.values()]), path],
    ]
    command = commands[number % len(commands)]
    format_, program = chance.choice([*FORMATS]), chance.choice([*PROGRAMS])
    path.write_bytes(FORMATS[format_](dict(
        state_dict=WEIGHTS, meta=dict(iter=7),
        extra=PROGRAMS[program](str(mark)))))
    status, = finish([
        start(bench.output, *command, TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD='1')
    ])
    what = f'{format_}, {program}, {" ".join(map(str, command))}: {status}'
    assert not mark.exists(), what
    output = bench.output.read_text()
    assert 'Traceback' not in output, f'{what}: {output[-2000:]}'
    return 'file with a program', what


TRIALS = dict(
    kills=kill,
    damages=damage,
    configs=misconfigure,
    images=mutate_images,
    programs=deceive)


# One long run.


def run_for_long(bench, steps):
    """Train for some thousand steps, with two stops on the way.

    Returns:
        dict: What was measured.
    """
    name = f'long_{steps}'
    config = bench.config(
        name, {
            'train_cfg.max_iters': steps,
            'default_hooks.logger.interval': 10,
            'default_hooks.checkpoint.interval': steps // 20,
            'default_hooks.checkpoint.max_keep_ckpts': 2
        })
    work_dir, samples = bench.folder / name, bench.folder / f'{name}.jsonl'
    for stop in (steps // 3, 2 * steps // 3, steps + 1):
        process = start(bench.output, 'tools/train.py', config, '--work-dir',
                        work_dir, '--resume')
        told = False
        while process.is_alive():
            time.sleep(2)
            sample = look_at(process.pid, work_dir)
            if sample['step'] >= stop and not told:
                process.terminate()
                told = True
            with samples.open('a') as file:
                file.write(json.dumps(sample) + '\n')
        assert process.exitcode == (143 if told else 0), (
            bench.output.read_text()[-2000:])
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    return summarise(rows, work_dir, steps)


def look_at(process, work_dir):
    """Measure a process, and how far it is."""
    sample = dict(process=process, step=max(logged_steps(work_dir), default=0))
    try:
        status = Path(f'/proc/{process}/status').read_text()
        sample['megabytes'] = int(
            re.search(r'VmRSS:\s+(\d+)', status)[1]) / 1024
        sample['files'] = len(os.listdir(f'/proc/{process}/fd'))
    except (OSError, TypeError):  # It has ended.
        pass
    return sample


def summarise(samples, work_dir, steps):
    """Compare beginnings and ends of the sessions of a long run."""
    found = dict(sessions=[])
    for process in dict.fromkeys(each['process'] for each in samples):
        rows = [each for each in samples
                if each['process'] == process and 'files' in each]
        begin, end = rows[0]['step'], rows[-1]['step']
        rows = [each for each in rows if each['step'] > begin + 500
                and each['step'] < end]
        if not rows:
            continue
        part = max(len(rows) // 5, 1)
        found['sessions'].append(
            dict(
                steps=[begin, end],
                megabytes=[median(each['megabytes'] for each in piece)
                           for piece in (rows[:part], rows[-part:])],
                files=sorted({each['files'] for each in rows})))
    logs = [path for path in work_dir.rglob('*')
            if path.suffix in ('.log', '.json')]
    found['log_bytes_per_step'] = sum(
        path.stat().st_size for path in logs) / steps
    curve = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in map(json.loads, path.read_text().splitlines()):
            if 'loss' in line:
                assert line['step'] not in curve, 'a step is logged twice'
                curve[line['step']] = line['loss']
    assert sorted(curve) == list(range(10, steps + 1, 10)), 'steps are missing'
    window = steps // 20
    jumps = {
        place: abs(
            fmean(curve[step] for step in curve
                  if place - window <= step < place) -
            fmean(curve[step] for step in curve
                  if place <= step < place + window))
        for place in range(2 * window, steps - window, 10)
    }
    seams = [each['steps'][0] // 10 * 10 for each in found['sessions'][1:]]
    found['jumps_at_resumes'] = [jumps[seam] for seam in seams]
    found['largest_jumps_elsewhere'] = sorted(
        value for place, value in jumps.items()
        if all(abs(place - seam) > 2 * window for seam in seams))[-3:]
    found['loss'] = [curve[10], curve[steps]]
    return found


# The whole.


class Results:
    """What came out so far, kept in a file."""

    def __init__(self, path, seed):
        self.path = path
        commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'],
                                cwd=ROOT, capture_output=True, text=True)
        self.content = dict(
            seed=seed, date=str(date.today()), commit=commit.stdout.strip(),
            trials={})
        if path.exists():
            self.content = json.loads(path.read_text())
            assert self.content['seed'] == seed, f'{path} is of another seed'

    def keep(self):
        partial = self.path.with_suffix('.partial')
        partial.write_text(json.dumps(self.content, indent=1))
        os.replace(partial, self.path)

    def run(self, kind, bench, count):
        """Make the trials of a kind that are still missing."""
        done = self.content['trials'].setdefault(kind, [])
        begin, before = time.monotonic(), len(done)
        for number in range(before, count):
            chance = random.Random(f'{self.content["seed"]} {number}')
            lost = False
            try:
                row, what = TRIALS[kind](bench, chance, number,
                                         self.content['seed'])
            except AssertionError as error:
                row, what, lost = kind, str(error), True
                if bench.run.exists():
                    shutil.copytree(
                        bench.run, bench.folder / f'lost_{kind}_{number}',
                        symlinks=True, dirs_exist_ok=True)
            done.append(dict(row=row, what=what, lost=lost))
            self.keep()
            each = (time.monotonic() - begin) / (number + 1 - before)
            print(
                f'{kind} {number + 1} of {count}, '
                f'{(count - number - 1) * each / 60:.0f} min left: '
                f'{"LOST: " if lost else ""}{what}', flush=True)

    def rows(self):
        """Sums, by what was done."""
        trials = [each for kind in self.content['trials'].values()
                  for each in kind]
        for row in dict.fromkeys(each['row'] for each in trials):
            lost = [each['lost'] for each in trials if each['row'] == row]
            yield row, len(lost), len(lost) - sum(lost), sum(lost)

    def table(self):
        lines = ['| what | tried | survived | lost |', '|---|---|---|---|']
        lines += [f'| {" | ".join(map(str, row))} |' for row in self.rows()]
        return '\n'.join(lines) + '\n'


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--seed', type=int, default=0)
    for kind, count in dict(
            kills=100, damages=40, configs=60, images=5000, programs=40,
            steps=20000).items():
        parser.add_argument(f'--{kind}', type=int, default=count)
    args = parser.parse_args()
    folder = args.folder.resolve()
    bench = Bench(folder)
    results = Results(folder / 'results.json', args.seed)
    for kind in TRIALS:
        count = getattr(args, kind)
        results.run(kind, bench, count // 500 if kind == 'images' else count)
    (folder / 'table.md').write_text(results.table())
    print(results.table())
    if args.steps:
        results.content['long'] = run_for_long(bench, args.steps)
        results.keep()
        print(json.dumps(results.content['long'], indent=1))
    sys.exit(any(lost for *_, lost in results.rows()))


if __name__ == '__main__':
    main()
