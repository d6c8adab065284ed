"""Run tools as users do: as commands."""
import os
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from warm_python import run_script


@pytest.fixture
def command(root, tmp_path):
    """Run a command in the repository; return its output."""

    def run(*arguments, fails=False, **environment):
        result = subprocess.run([str(argument) for argument in arguments],
                                cwd=root,
                                env={
                                    **os.environ, 'OMP_NUM_THREADS': '1',
                                    **environment
                                },
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT,
                                text=True)
        assert bool(result.returncode) == fails, result.stdout[-4000:]
        return result.stdout

    return run


@pytest.fixture
def python():
    """Run a Python script of the repository; return its output."""
    return run_script


@pytest.fixture
def free_port():
    """A port at which nobody listens, also beside another run of the tests."""
    with socket.socket() as free:
        free.bind(('', 0))
        return str(free.getsockname()[1])


@pytest.fixture
def stock_tool():
    """Find a tool that mmdet or mmseg ships."""

    def find(library, name):
        package = Path(find_spec(library).origin).parent
        return package / '.mim' / 'tools' / name

    return find


@pytest.fixture(scope='session')
def watched(tmp_path_factory):
    """Three iterations of the tiny config, watched in every way."""
    folder = tmp_path_factory.mktemp('watched')
    run_script('tools/misc/generate_scenes.py', folder / 'scenes',
               '--num-train', 7, '--num-val', 4)
    run_script(
        'tools/train.py', 'configs/mask_jepa_r18_tiny.py', '--work-dir',
        folder / 'run', '--cfg-options', 'train_cfg.max_iters=3',
        'train_cfg.val_interval=3', 'train_dataloader.batch_size=2',
        'default_hooks.checkpoint.interval=3',
        'default_hooks.logger.interval=1',
        MASK_JEPA_DATA=str(folder / 'scenes'))
    return folder
