"""SIGKILL at any moment costs time, and nothing else."""
import multiprocessing
import os
import random
import time

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

# More find rarer faults; 20 take minutes.
KILLS = int(os.environ.get('MASK_JEPA_TEST_KILLS', 4))
ITERATIONS = 24


def train(config_file, work_dir, slow_disk):
    """Train, from the newest checkpoint if there is one."""
    config = Config.fromfile(config_file)
    config.work_dir = work_dir
    config.resume = True
    if slow_disk:
        # So that the parent can strike while a checkpoint is being written.
        flush = os.fsync

        def slow_flush(descriptor):
            time.sleep(0.2)
            flush(descriptor)

        os.fsync = slow_flush
    Runner.from_cfg(config).train()


@pytest.fixture
def run(tiny_config, image_folder, tmp_path):
    """Start a training in a process of its own."""
    config = tiny_config({
        'train_dataloader.dataset.data_root': str(image_folder),
        'train_dataloader.num_workers': 1,
        'train_cfg.max_iters': ITERATIONS,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.checkpoint.max_keep_ckpts': 1,
        'optim_wrapper.accumulative_counts': 2
    })
    config_file = tmp_path / 'config.py'
    config.dump(config_file)
    # A server that has imported everything forks the processes: they start
    # in a moment, and have no thread of this one.
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['projects.mask_jepa', __name__])

    def start(work_dir, slow_disk=False):
        process = context.Process(
            target=train, args=(str(config_file), str(work_dir), slow_disk))
        process.start()
        return process

    return start


def wait_for_partial(folder, process):
    """Wait until a checkpoint is being written, or the process ends."""
    while process.is_alive() and not list(folder.glob('.*.partial')):
        time.sleep(0.001)


def test_killed_run_equals_uninterrupted_one(run, tmp_path):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    process = run(whole)
    process.join()
    assert process.exitcode == 0

    chance = random.Random(0)
    kills = 0
    while kills < KILLS:
        process = run(broken, slow_disk=True)
        if kills % 2:
            wait_for_partial(broken, process)
        else:
            time.sleep(chance.uniform(0.5, 6))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        # What is there is whole, and the pointer points to it.
        for path in broken.glob('iter_*.pth'):
            torch.load(path, weights_only=True)
        pointer = broken / 'last_checkpoint'
        if pointer.exists():
            assert os.path.isfile(pointer.read_text())
        done = (broken / f'iter_{ITERATIONS}.pth').exists()
        if done:  # Start over, for the kills that are left.
            for path in broken.glob('iter_*.pth'):
                path.unlink()
            pointer.unlink()
    process = run(broken)
    process.join()
    assert process.exitcode == 0

    name = f'iter_{ITERATIONS}.pth'
    expected = torch.load(whole / name, weights_only=True)
    actual = torch.load(broken / name, weights_only=True)
    assert expected['state_dict'].keys() == actual['state_dict'].keys()
    for key, value in expected['state_dict'].items():
        assert torch.equal(value, actual['state_dict'][key]), key
    moments = expected['optimizer']['state']
    for index, state in moments.items():
        for key, value in state.items():
            assert torch.equal(
                value, actual['optimizer']['state'][index][key]), key
