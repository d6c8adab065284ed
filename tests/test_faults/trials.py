"""What is done to trainings in numbers.

Each trial gets the bench, random numbers of its own, its number and the seed;
it returns its row in the table and what it did, or raises an AssertionError.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import product

import torch
from bench import (INTERVAL, ITERATIONS, RUN, TINY, VARIANTS, WRITES, finish,
                   load, logged_steps, start)
from test_programs_in_files import FORMATS, PROGRAMS, STOCK, WEIGHTS
from test_wrong_configs import DATA, WRONG
from warm_python import ROOT

from mask_jepa.datasets import IMAGE_LIST
from mask_jepa.report import read_run
from mask_jepa.utils import find_newest_whole

SIGNALS = 5 * [signal.SIGKILL] + 2 * [signal.SIGTERM] + 2 * [signal.SIGINT]
DAMAGES = ('a bit', 'a lost byte', 'the end', 'zeros', 'noise', 'all of it',
           'a text', 'NaN', 'a pipe', 'a link to nothing')


def kill(bench, chance, number, seed):
    """End a run, and go on."""
    blows = list(product(VARIANTS, [*WRITES, *SIGNALS]))
    random.Random(seed).shuffle(blows)
    variant, blow = blows[number % len(blows)]
    strike = kill_in_a_write if blow in WRITES else send
    status = 0
    while not status:  # It may have come to its end before.
        shutil.rmtree(bench.run, ignore_errors=True)
        status, expected, when = strike(bench, chance, variant, blow)
    what = f'{variant}, {when}, status {status}'
    assert status in expected, what
    newest, complaints = find_newest_whole(str(bench.run))
    assert not complaints, f'{what}: {complaints}'
    saved = load(newest)['meta']['iter'] if newest else 0
    last = max(logged_steps(bench.run), default=0)
    what += f', {saved} of {last} steps saved'
    # Nothing is lost where it could save, else what came after a checkpoint.
    assert saved >= (last if status > 100 else
                     (last - 1) // INTERVAL * INTERVAL), what
    if last:
        read_run(str(bench.run))
    bench.resume(variant, what)
    return 'SIGKILL in a write' if blow in WRITES else blow.name, what


def kill_in_a_write(bench, chance, variant, name):
    """Let a run be killed while it writes a file.

    Returns:
        tuple[int, set[int], str]: Its exit status, what that may be, and how
        it was struck.
    """
    which, share = chance.randint(1, WRITES[name]), chance.random()
    status, *_ = finish(
        bench.train(variant, blow=(name, which, share)))
    return status, {-signal.SIGKILL}, f'{name} {which}, after {share:.0%}'


def send(bench, chance, variant, number):
    """Send a signal to one process of a run; else as the other."""
    whole = bench.whole(variant)
    processes = bench.train(variant)
    told = chance.choice(processes)
    if chance.random() < 0.75:  # else before the training begins
        while told.is_alive() and not (bench.run / IMAGE_LIST).exists():
            time.sleep(0.005)
    seconds = chance.uniform(0, (whole / 'mask_jepa_mmseg.pth').stat().st_mtime
                             - (whole / IMAGE_LIST).stat().st_mtime)
    time.sleep(seconds)
    with suppress(ProcessLookupError):
        os.kill(told.pid, number)
    finish(processes)
    # Before and after a training Python ends with 1 at SIGINT.
    expected = {-number, 128 + number, 1 if number == signal.SIGINT else 0}
    return told.exitcode, expected, f'{number.name} after {seconds:.2f} s'


def damage(bench, chance, number, seed):
    """Spoil the newest checkpoint of a run, and go on."""
    how = DAMAGES[number % len(DAMAGES)]
    shutil.rmtree(bench.run, ignore_errors=True)
    shutil.copytree(bench.whole('plain'), bench.run)
    path = bench.run / f'iter_{ITERATIONS}.pth'
    spoil(path, how, chance)
    bench.resume('plain', how)
    said = f'WARNING - {path} ' in bench.output.read_text()
    return 'damaged checkpoint', f'{how}: {"told" if said else "no effect"}'


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
        [
            sys.executable, 'tests/test_faults/fuzz_images.py', '500',
            '--seed', str(10 * seed + number)
        ],
        cwd=ROOT,
        capture_output=True, text=True)
    output = result.stdout[-200:] + result.stderr[-2000:]
    assert result.returncode == 0, output
    return '500 damaged images', output.splitlines()[-1]


def deceive(bench, chance, number, seed):
    """Give a file that holds a program to a command."""
    shutil.rmtree(bench.run, ignore_errors=True)
    bench.run.mkdir()
    path, other = bench.run / 'iter_7.pth', bench.folder / 'other'
    mark = bench.folder / 'it_ran'
    shutil.rmtree(other, ignore_errors=True)
    format_ = chance.choice([*FORMATS, 'text'])
    program = chance.choice([*PROGRAMS])
    if format_ == 'text':  # of a config, which MMEngine would run
        content = load(bench.whole('plain') / f'iter_{ITERATIONS}.pth')
        content['meta']['config'] = f'import os\nos.mkdir({str(mark)!r})'
        torch.save(content, path)
    else:
        content = dict(
            state_dict=WEIGHTS,
            meta=dict(iter=7),
            extra=PROGRAMS[program](str(mark)))
        path.write_bytes(FORMATS[format_](content))
    config = bench.config('plain', RUN)
    train = ['tools/train.py', config, '--work-dir']
    commands = [
        [*train, bench.run, '--resume'],
        [*train, other, '--resume', path],
        [*train, other, '--init', path],
        [
            *train, other, '--cfg-options', 'model.init_cfg.type=Pretrained',
            f'model.init_cfg.checkpoint={path}'
        ],
        ['tools/test.py', config, path, '--work-dir', other],
        [
            'tools/export_pretrained.py', path, '--to', 'mmdet', '--out',
            other / 'export.pth'
        ],
        [
            'tools/import_pretrained.py', path, '--from', 'mmdet', '--config',
            config, '--out', other / 'init.pth'
        ],
        ['tools/verify_pretrained.py',
         chance.choice([*STOCK.values()]), path],
    ]
    command = commands[number % len(commands)]
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
