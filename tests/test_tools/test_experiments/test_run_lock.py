"""Who makes a run, and who waits."""
import fcntl
import subprocess
import sys

import pytest
from run_lock import lock_run


def never():
    raise AssertionError('There is nobody to wait for.')


def is_free(path):
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_lock_is_free_before_and_after(tmp_path):
    path = tmp_path / 'locks' / 'run'
    for _ in range(2):
        with lock_run(str(path), never):
            assert not is_free(path)
        assert is_free(path)


def test_lock_is_free_after_a_failure(tmp_path):
    path = tmp_path / 'run'
    with pytest.raises(RuntimeError, match='out of luck'):
        with lock_run(str(path), never):
            raise RuntimeError('out of luck')
    assert is_free(path)


def test_training_keeps_the_lock_of_the_command_that_died(tmp_path):
    path = tmp_path / 'run'
    with lock_run(str(path), never) as lock:
        training = subprocess.Popen(
            [sys.executable, '-c', 'input()'],
            stdin=subprocess.PIPE,
            pass_fds=[lock])
    assert not is_free(path)
    told = []

    def end_training():
        told.append(True)
        training.communicate(b'\n')

    with lock_run(str(path), end_training):
        assert told == [True]
    assert training.returncode == 0
