import builtins
import os

import pytest
from mmengine.fileio import get_file_backend

from projects.mask_jepa.utils import ATOMIC_LOCAL, AtomicLocalBackend


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'file.bin'
    path.write_bytes(b'old')
    return path


def test_writes_bytes_and_text(tmp_path):
    backend = get_file_backend(backend_args=dict(backend=ATOMIC_LOCAL))
    assert isinstance(backend, AtomicLocalBackend)
    backend.put(b'\x00\x01', tmp_path / 'new' / 'folder' / 'a.bin')
    assert (tmp_path / 'new' / 'folder' / 'a.bin').read_bytes() == b'\x00\x01'
    backend.put_text('café', str(tmp_path / 'b.txt'))
    assert (tmp_path / 'b.txt').read_text(encoding='utf-8') == 'café'


def test_leaves_nothing_beside_the_file(file):
    AtomicLocalBackend().put(b'new', file)
    assert file.read_bytes() == b'new'
    assert os.listdir(file.parent) == ['file.bin']


@pytest.mark.parametrize('name', ['replace', 'fsync'])
def test_failure_leaves_the_old_file(file, monkeypatch, name):

    def fail(*args):
        raise OSError('the disk is full')

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(OSError, match='disk is full'):
        AtomicLocalBackend().put(b'new' * 1000, file)
    assert file.read_bytes() == b'old'
    assert os.listdir(file.parent) == ['file.bin']


def test_nothing_is_left_beside_a_folder_in_the_place(tmp_path):
    place = tmp_path / 'weights.pth'
    place.mkdir()
    with pytest.raises(IsADirectoryError):
        AtomicLocalBackend().put(b'new', place)
    assert os.listdir(tmp_path) == ['weights.pth']
    assert os.listdir(place) == []


def test_content_is_on_the_disk_before_it_gets_its_name(file, monkeypatch):
    """Written and flushed beside, synced, renamed; then the folder synced."""
    order = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(descriptor):
        kind = 'folder' if os.path.isdir(
            f'/proc/self/fd/{descriptor}') else 'file'
        order.append((kind, os.fstat(descriptor).st_size
                      if kind == 'file' else None))
        fsync(descriptor)

    def spy_replace(source, target):
        order.append(('rename', os.path.getsize(source)))
        assert os.path.dirname(source) == str(file.parent)
        assert file.read_bytes() == b'old'
        replace(source, target)

    monkeypatch.setattr(os, 'fsync', spy_fsync)
    monkeypatch.setattr(os, 'replace', spy_replace)
    AtomicLocalBackend().put(b'12345', file)
    assert order == [('file', 5), ('rename', 5), ('folder', None)]


def test_place_itself_is_never_opened_for_writing(file, monkeypatch):
    opened = []
    open_file = builtins.open

    def spy(path, mode='r', *args, **kwargs):
        opened.append((str(path), mode))
        return open_file(path, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, 'open', spy)
    AtomicLocalBackend().put(b'new', file)
    assert opened and all(path != str(file) for path, _ in opened)
