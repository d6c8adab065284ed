"""A run that is told to stop loses nothing."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from bench import require_equal
from rank_process import Tell

ITERATIONS = 6


def options(**extra):
    return {
        'train_cfg.max_iters': ITERATIONS,
        'default_hooks.checkpoint.interval': ITERATIONS,
        **extra
    }


def last(work_dir):
    return torch.load(
        Path(work_dir) / f'iter_{ITERATIONS}.pth', weights_only=True)


@pytest.mark.parametrize('number, accumulated, saved', [(signal.SIGTERM, 1, 3),
                                                        (signal.SIGINT, 2, 4)])
def test_told_run_saves_and_goes_on_as_if_nothing_had_been(
        make_runner, number, accumulated, saved):
    """A signal in the third iteration, alone or the first of two of a step."""
    extra = {
        'optim_wrapper.accumulative_counts': accumulated,
        'train_dataloader.num_workers': 1
    }
    told = make_runner(options(**extra), hooks=[(Tell(number, 2), 'NORMAL')])
    with pytest.raises(SystemExit) as caught:
        told.train()
    assert caught.value.code == 128 + number
    assert [path.name for path in Path(told.work_dir).glob('*.pth')
            ] == [f'iter_{saved}.pth']  # and no export
    log = next(Path(told._log_dir).glob('*.log')).read_text()
    assert (f'Stopped by {number.name} after iteration {saved}: go on by '
            '--resume.') in log

    make_runner(options(resume=True, **extra)).train()
    straight = make_runner(options(**extra), 'straight')
    straight.train()
    require_equal(last(told.work_dir), last(straight.work_dir))


def test_second_interrupt_ends_at_once(make_runner):
    hooks = [(Tell(signal.SIGINT, 2), 'NORMAL')] * 2
    runner = make_runner(options(), hooks=hooks)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert not list(Path(runner.work_dir).glob('iter_*.pth'))


def test_checkpoint_of_the_interval_is_not_written_twice(make_runner):
    runner = make_runner(
        options(**{'default_hooks.checkpoint.interval': 3}),
        hooks=[(Tell(signal.SIGUSR1, 2), 'NORMAL')])
    with pytest.raises(SystemExit, match='138'):
        runner.train()
    log = next(Path(runner._log_dir).glob('*.log')).read_text()
    assert log.count('Saving checkpoint at 3 iterations') == 1


def test_told_in_the_last_iteration_it_just_ends(make_runner):
    runner = make_runner(
        options(), hooks=[(Tell(signal.SIGTERM, ITERATIONS - 1), 'NORMAL')])
    numbers = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1
    before = [signal.getsignal(number) for number in numbers]
    runner.train()
    assert (Path(runner.work_dir) / 'mask_jepa_mmdet.pth').exists()
    assert [signal.getsignal(number) for number in numbers] == before


def test_one_of_two_ranks_is_enough(two_ranks, tiny_config, image_folder,
                                    tmp_path):
    """Both save and leave after the same step, and go on bit for bit."""

    def config(work_dir, **extra):
        return tiny_config(
            options(
                **{
                    'work_dir': str(tmp_path / work_dir),
                    'train_dataloader.dataset.data_root': str(image_folder),
                    **extra
                }))

    statuses, outputs = two_ranks(config('told'), told=(1, signal.SIGTERM, 2))
    assert statuses == [143, 143], outputs
    assert 'Stopped by SIGTERM after iteration 4' in outputs[0]
    for extra in (dict(work_dir='told', resume=True), dict(work_dir='all')):
        statuses, outputs = two_ranks(config(**extra))
        assert statuses == [0, 0], outputs
    require_equal(last(tmp_path / 'told'), last(tmp_path / 'all'))


# What starts several processes.

PROCESS = '''
import os, runpy, signal, sys, time
share = runpy.run_path('projects/mask_jepa/utils/parent.py')
share['end_with_parent']()
if sys.argv[1] == 'fail':
    sys.exit(7 if os.environ['RANK'] == '1' else 0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
open(f'{sys.argv[1]}/{os.getpid()}', 'w').close()
time.sleep(60)
'''


@pytest.fixture
def launch(root, tmp_path):
    """Start two processes by torchrun."""
    (tmp_path / 'process.py').write_text(PROCESS)

    def start(argument):
        return subprocess.Popen([
            sys.executable, 'tools/misc/launch.py', '--standalone',
            '--nproc_per_node=2', tmp_path / 'process.py', argument
        ],
                                cwd=root,
                                env={
                                    **os.environ, 'OMP_NUM_THREADS': '1'
                                },
                                stderr=subprocess.PIPE,
                                text=True)

    return start


def processes_in(folder, launcher):
    while len(list(folder.iterdir())) < 2:
        assert launcher.poll() is None
        time.sleep(0.05)
    return [int(path.name) for path in folder.iterdir()]


def is_alive(process):
    try:
        state = Path(f'/proc/{process}/stat').read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(')')[2].split()[0] != 'Z'


def test_launcher_has_the_status_of_its_processes(launch):
    process = launch('fail')
    _, errors = process.communicate()
    assert process.returncode == 7
    assert 'Rank 1 ended first, with status 7.' in errors


@pytest.mark.parametrize('number, status', [(signal.SIGTERM, 143),
                                            (signal.SIGKILL, -9)])
def test_processes_end_with_their_launcher(launch, tmp_path, number, status):
    folder = tmp_path / 'alive'
    folder.mkdir()
    process = launch(str(folder))
    ranks = processes_in(folder, process)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == status
    deadline = time.monotonic() + 30
    while any(map(is_alive, ranks)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, ranks))


SRUN = '''#!/bin/sh
echo "$@" >>{calls}
exit $(sed -n "$(wc -l <{calls})p" {statuses})
'''


@pytest.mark.parametrize(
    'statuses, environment, resumed, status',
    [
        ([0], {}, [False], 0),
        ([138, 138, 0], {}, [False, True, True], 0),
        ([143], {}, [False], 143),  # told by someone else, who means it
        ([138, 1], {}, [False, True], 1),
        # Requeued by Slurm, and again.
        ([138], dict(SLURM_JOB_ID='5', SLURM_RESTART_COUNT='1'), [True], 0),
    ])
def test_slurm_job_saves_in_time_and_goes_on(root, tmp_path, statuses,
                                             environment, resumed, status):
    calls, given = tmp_path / 'calls', tmp_path / 'statuses'
    given.write_text('\n'.join(map(str, statuses)) + '\n')
    for name, text in dict(
            srun=SRUN.format(calls=calls, statuses=given),
            scontrol=f'#!/bin/sh\necho "$@" >{tmp_path}/requeued\n').items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    result = subprocess.run(
        ['bash', 'tools/slurm_train.sh', 'all', 'job', 'a.py', '--no-amp'],
        cwd=root,
        capture_output=True,
        text=True,
        env={
            'PATH': f'{tmp_path}:{os.environ["PATH"]}',
            **environment
        })
    assert result.returncode == status, result.stderr
    commands = calls.read_text().splitlines()
    assert ['--resume' in command.split() for command in commands] == resumed
    assert all('--signal=USR1@120' in command for command in commands)
    if environment:
        assert (tmp_path / 'requeued').read_text() == 'requeue 5\n'
