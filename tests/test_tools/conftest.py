"""Run tools as users do: as commands."""
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


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
def python(command):
    """Run a Python script of the repository."""

    def run(script, *arguments, **keywords):
        return command(sys.executable, script, *arguments, **keywords)

    return run


@pytest.fixture
def stock_tool():
    """Find a tool that mmdet or mmseg ships."""

    def find(library, name):
        package = Path(find_spec(library).origin).parent
        return package / '.mim' / 'tools' / name

    return find
