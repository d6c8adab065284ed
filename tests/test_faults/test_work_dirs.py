"""Work directories that cannot be written to, or belong to another run."""
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from mask_jepa.utils import (RunError, find_newest_whole, locked,
                             prepare_work_dir)


@pytest.fixture
def config_file(tiny_config, image_folder, tmp_path):
    path = tmp_path / 'config.py'
    tiny_config({
        'train_dataloader.dataset.data_root': str(image_folder),
        'train_cfg.max_iters': 4,
        'default_hooks.checkpoint.interval': 2,
    }).dump(path)
    return path


@pytest.mark.parametrize('place, reason',
                         [('file', 'File exists'),
                          ('file/work', 'Not a directory'),
                          ('/proc/work', 'No such file or directory')])
def test_place_that_takes_nothing(tmp_path, place, reason):
    (tmp_path / 'file').touch()
    with pytest.raises(
            RunError,
            match=f'cannot be written to .{reason}.: '
            'give another --work-dir'):
        prepare_work_dir(str(tmp_path / place))


def test_file_as_work_dir_is_one_sentence(python, config_file):
    output = python(
        'tools/train.py', config_file, '--work-dir', config_file, fails=True)
    assert output.strip() == (
        f'The work directory {config_file} cannot be written to (File '
        'exists): give another --work-dir.')


HOLD = '''
import sys, time
from mask_jepa.utils import locked
with locked(sys.argv[1]):
    print('locked', flush=True)
    time.sleep(60)
'''


def test_two_runs_do_not_write_into_one_folder(tmp_path, root):
    process = subprocess.Popen([sys.executable, '-c', HOLD, tmp_path],
                               cwd=root,
                               text=True,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == 'locked\n'
    with pytest.raises(
            RunError,
            match='Another run writes to .*, process '
            f'{process.pid} on .*: end it first'):
        with locked(str(tmp_path)):
            pass
    process.kill()
    process.communicate()
    with locked(str(tmp_path)):
        pass


def test_children_do_not_keep_the_lock(tmp_path):
    """Workers outlive a killed run by some seconds."""
    reader, writer = os.pipe()
    with locked(str(tmp_path)):
        child = os.fork()
        if not child:
            os.read(reader, 1)
            os._exit(0)
    with open(tmp_path / '.lock', 'a+') as file:
        assert subprocess.run([
            sys.executable, '-c', 'import fcntl; fcntl.lockf(0, '
            'fcntl.LOCK_EX | fcntl.LOCK_NB)'
        ],
                              stdin=file).returncode == 0
    os.write(writer, b'x')
    os.waitpid(child, 0)


def test_full_disk_leaves_the_last_checkpoint(python, config_file, tmp_path):
    work_dir = tmp_path / 'work'
    work_dir.mkdir()
    # What is written there finds no room.
    (work_dir / '.iter_4.pth.partial').symlink_to('/dev/full')
    output = python(
        'tools/train.py', config_file, '--work-dir', work_dir, fails=True)
    assert output.splitlines()[-1] == (
        f'{work_dir} could not be written to any more (No space left on '
        'device); the checkpoints in it are whole. Make room, and go on by '
        '--resume.')
    assert 'Traceback' not in output
    newest, complaints = find_newest_whole(str(work_dir))
    assert newest.endswith('iter_2.pth') and not complaints
    assert not list(work_dir.glob('.*.partial'))


def test_room_for_two_checkpoints_is_needed(make_runner, monkeypatch):
    Usage = namedtuple('Usage', 'free')
    runner = make_runner({'train_cfg.max_iters': 2})
    size = sum(value.numel() * value.element_size()
               for value in runner.model.state_dict().values())
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: Usage(2 * size))
    with pytest.raises(
            RunError,
            match='has room for .* MB, and two '
            'checkpoints take some .* MB: make room'):
        runner.train()
    assert runner.iter == 0
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: Usage(6 * size))
    make_runner({'train_cfg.max_iters': 2}).train()
