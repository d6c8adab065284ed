"""Run scripts as commands, without waiting for their imports each time.

A server that has imported what each of our tools imports forks a process for
a script: its own arguments, folder, environment, output and exit status.
"""
import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
SERVER = multiprocessing.get_context('forkserver')
SERVER.set_forkserver_preload(['mask_jepa', 'mmengine.runner'])


def run_script(script, *arguments, fails=False, **environment):
    """Run a Python script of the repository in it; return its output."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', **environment}
    with tempfile.NamedTemporaryFile() as output:
        process = SERVER.Process(
            target=become,
            args=(str(script), [str(argument) for argument in arguments],
                  environment, output.name))
        with patch.dict(os.environ, environment):  # of the server, at first
            process.start()
        process.join()
        text = Path(output.name).read_text()
    assert bool(process.exitcode) == fails, text[-4000:]
    return text


def become(script, arguments, environment, output):
    """Be the process of a script."""
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [script, *arguments]
    sys.path[0] = str((ROOT / script).parent)
    runpy.run_path(script, run_name='__main__')
