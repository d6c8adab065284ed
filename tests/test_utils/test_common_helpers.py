"""What all parts use: files, configs, process groups and seeds."""
import builtins
import os
import random
import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.fileio import get_file_backend
from warm_python import ROOT

from mask_jepa.utils import (ATOMIC_LOCAL, CFG_OPTIONS, AtomicLocalBackend,
                             evenly_spread, exit_on, fixed_seed,
                             leave_process_group, load_config, make_parser,
                             mix_seed, prepare_cpu_distributed)

# Files that are whole or old.


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


# Settings of the command line.


@pytest.mark.parametrize('text, value', [
    ('a=/my/images', '/my/images'), ('a=[x, (1, y)]', ['x', (1, 'y')]),
    ('a="x"', 'x'), ('a=1,2', [1, 2]), ('a=x=y', 'x=y')])
def test_settings_are_read_as_by_mmengine(text, value):
    parser = make_parser('')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    arguments = parser.parse_args(['--cfg-options', 'b=2', text])
    assert arguments.cfg_options == dict(a=value, b=2)


@pytest.mark.parametrize('texts, sentence', [
    (['a=/my', 'images'], "'images' is not of the form key=value"),
    (['a=/my images'], "a='/my images' would be read as '/myimages'"),
    (["a=[x, 'my images']"], 'would be read as'),
    (['a=/my/images (1,2'], 'Imbalanced brackets')])
def test_settings_that_would_be_changed_are_refused(capsys, texts, sentence):
    parser = make_parser('')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', *texts])
    message = capsys.readouterr().err
    assert sentence in message and '--data' in message


def test_images_are_given_as_paths():
    name = str(ROOT / 'configs' / 'mask_jepa_r18_tiny.py')
    paths = ["it's, [mine]", '写真']
    config = load_config(name, train=paths, test=None)
    assert config.train_dataloader.dataset.data_root == paths
    assert config.test_dataloader.dataset.data_root != paths
    with pytest.raises(ValueError, match='--data is for train_dataloader'):
        load_config('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
                    train=paths)


# Configs of files and libraries.


def test_loads_a_file_and_one_of_a_library(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('iterations = 7\n')
    assert load_config(str(path)).iterations == 7
    config = load_config(
        'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py')
    assert config.default_scope == 'mmseg'


@pytest.mark.parametrize('name, sentence', [
    ('no_such.py', 'There is no config file at no_such.py.'),
    ('mmdet::mask2former/no_such.py', 'No installed library has a config '),
    ('mmdet::no_such.py', 'No installed library has a config '),
    ('no_such_library::a/b.py', 'No installed library has a config '),
    ('mmrotate::a/b.py', 'No installed library has a config '),
])
def test_missing_config_is_named_in_one_sentence(name, sentence):
    with pytest.raises(FileNotFoundError) as caught:
        load_config(name)
    assert str(caught.value).startswith(sentence)
    assert name in str(caught.value) and '\n' not in str(caught.value)


def test_file_of_another_kind_is_named_in_one_sentence(tmp_path):
    path = tmp_path / 'iter_3.pth'
    path.write_bytes(b'weights')
    with pytest.raises(ValueError, match=r'iter_3.pth is no config: .*\.py'):
        load_config(str(path))


# Process groups.


@pytest.fixture
def one_rank(monkeypatch):
    """The environment that torchrun gives to the only process of a run."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    for name, value in dict(
            MASTER_ADDR='127.0.0.1', MASTER_PORT=port, RANK=0,
            WORLD_SIZE=1).items():
        monkeypatch.setenv(name, str(value))
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_without_a_gpu_gloo_runs_and_ddp_gets_no_device(one_rank,
                                                        monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = Config()
    prepare_cpu_distributed(cfg)
    assert dist.get_backend() == 'gloo'
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False)
    prepare_cpu_distributed(cfg)  # A second call finds the group running.
    own = Config(dict(model_wrapper_cfg=dict(type='Own', static_graph=True)))
    prepare_cpu_distributed(own)
    assert own.model_wrapper_cfg == dict(
        type='Own', static_graph=True, device_ids=None)


def test_with_a_gpu_nothing_changes(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config()
    prepare_cpu_distributed(cfg)
    assert not dist.is_initialized() and 'model_wrapper_cfg' not in cfg


def test_group_is_left(one_rank):
    leave_process_group()  # There is none.
    dist.init_process_group('gloo')
    leave_process_group()
    assert not dist.is_initialized()


# Seeds, and evenly spread numbers.


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_mix_depends_on_every_number_and_on_their_order():
    seeds = [mix_seed(a, b, c)
             for a in range(12) for b in range(12) for c in range(12)]
    assert len(set(seeds)) == 12**3
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mix_seed(3, 4) == mix_seed(3, 4) != mix_seed(4, 3)
    torch.Generator().manual_seed(max(seeds))


def test_neighbours_are_unrelated():
    """About half of the bits differ, and no sum decides the seed."""
    differing = [
        bin(mix_seed(0, step) ^ mix_seed(0, step + 1)).count('1')
        for step in range(500)
    ]
    assert np.mean(differing) == pytest.approx(31.5, abs=1)


def test_fixed_seed_fixes_all_three_generators():
    draw()
    with fixed_seed(2**62 + 5):
        first = draw()
    draw()
    with fixed_seed(2**62 + 5):
        assert draw() == first
    with fixed_seed(2**62 + 6):
        assert all(one != other for one, other in zip(draw(), first))


def test_generators_are_put_back_even_after_an_error():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw(), draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    first = draw()
    with pytest.raises(KeyError), fixed_seed(7):
        draw()
        raise KeyError
    assert (first, draw()) == expected


@pytest.mark.parametrize('length, count, expected', [
    (10, 4, [0, 3, 6, 9]),
    (5, 1, [0]),
    (3, 8, [0, 1, 2]),
])
def test_indices_are_evenly_spread(length, count, expected):
    assert evenly_spread(length, count) == expected


# How commands end.


def test_wrong_setting_ends_with_its_sentence_and_status(monkeypatch, capsys):
    message = 'class `Noise` in projects/noise.py: gamma must be at least 0.'
    with pytest.raises(SystemExit) as caught:
        with exit_on(ValueError, status=2):
            raise ValueError(message)
    assert caught.value.code == 2
    assert capsys.readouterr().err == 'gamma must be at least 0.\n'
    with pytest.raises(SystemExit, match='^gamma must be at least 0.$'):
        with exit_on(ValueError):
            raise ValueError(message)
    monkeypatch.setattr('sys.argv', ['tool.py', '--traceback'])
    with pytest.raises(ValueError, match='Noise'):
        with exit_on(ValueError):
            raise ValueError(message)
