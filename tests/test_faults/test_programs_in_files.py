"""Files of strangers that hold programs: none of them runs."""
import io
import os
import pickle
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from warm_python import ROOT, run_script

from mask_jepa.report import read_run
from mask_jepa.utils import load_without_objects, refuse_objects
from mask_jepa.weights import load_foreign_weights

ABSENT = 'http://localhost:9/weights.pth'  # where nobody listens
WEIGHTS = {'backbone.a': torch.arange(6.).view(2, 3)}
STOCK = {
    'mmdet': 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    'mmseg': 'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py'
}


class Call:
    """On unpickling, calls a function."""

    def __init__(self, *call):
        self.function, *self.arguments = call

    def __reduce__(self):
        return self.function, tuple(self.arguments)


class Buried(Call):
    """The same, in the state of something harmless."""

    def __reduce__(self):
        return Exception, (), {'inner': Call(self.function, *self.arguments)}


PROGRAMS = {
    'command': lambda mark: Call(os.system, f'touch {mark}'),
    'folder': lambda mark: Call(os.mkdir, mark),
    'source': lambda mark: Call(exec, f'open({mark!r}, "w").close()'),
    'buried': lambda mark: Buried(exec, f'open({mark!r}, "w").close()'),
}


def in_a_zip(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def in_one_piece(content):
    """As torch wrote before 1.6."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def in_a_tar(content):
    """As torch wrote in its first year."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        for name in ('storages', 'tensors', 'pickle'):
            member = tarfile.TarInfo(name)
            member.size = len(pickle.dumps(content, 2))
            archive.addfile(member, io.BytesIO(pickle.dumps(content, 2)))
    return file.getvalue()


FORMATS = dict(
    zip=in_a_zip,
    piece=in_one_piece,
    tar=in_a_tar,
    pickle=lambda content: pickle.dumps(content, 4))


@pytest.fixture
def hostile(tmp_path):
    """Write a file; return its path, and the mark that it leaves if it runs.
    """

    def write(format_='zip', program='folder', path=tmp_path / 'hostile.pth'):
        mark = tmp_path / 'it_ran'
        path.write_bytes(FORMATS[format_](dict(
            state_dict=WEIGHTS, extra=PROGRAMS[program](str(mark)))))
        return str(path), mark

    return write


@pytest.mark.parametrize('program', PROGRAMS)
def test_the_programs_are_programs(hostile, program):
    path, mark = hostile('zip', program)
    torch.load(path, weights_only=False)
    assert mark.exists()


def outcome(load, *arguments):
    """What a file gives, or the sentence that refuses it."""
    try:
        return load(*arguments)
    except (SystemExit, ValueError) as error:
        return str(error)


@pytest.mark.parametrize('format_', FORMATS)
@pytest.mark.parametrize('program', PROGRAMS)
def test_no_load_runs_a_program(hostile, monkeypatch, format_, program):
    # As a user may have set it for the stock tools.
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    path, mark = hostile(format_, program)
    refuse_objects()
    for load in (load_without_objects, load_foreign_weights,
                 CheckpointLoader.load_checkpoint):
        found = outcome(load, path)
        if isinstance(found, str):
            assert path in found and '\n' not in found
        else:
            found = found.get('state_dict', found)
            assert torch.equal(found['backbone.a'], WEIGHTS['backbone.a'])
    module = BaseModule(dict(type='Pretrained', checkpoint=path))
    assert path in (outcome(module.init_weights) or path)
    with pytest.raises(Exception):  # what MMEngine downloads goes through it
        torch.hub.load_state_dict_from_url(f'file://{path}',
                                           os.path.dirname(path))
    assert not mark.exists()


def test_pickle_of_arrays_changes_nothing_of_ours(tmp_path):
    """By the dotted name of an attribute, and a state for it."""
    name = b'_rebuild_tensor_v2.__init__Storage'
    path = tmp_path / 'dotted.pkl'
    path.write_bytes(b'\x80\x04\x8c\x0ctorch._utils\x8c' + bytes([len(name)]) +
                     name + b'\x93}\x8c\x05alien\x8c\x01xsb.')
    for load in (load_foreign_weights, load_without_objects):
        assert isinstance(outcome(load, str(path)), str)
    assert not hasattr(torch._utils._rebuild_tensor_v2, 'alien')


@pytest.mark.parametrize('library', STOCK)
def test_verification_refuses_in_one_sentence(hostile, library):
    path, mark = hostile()
    output = run_script(
        'tools/verify_pretrained.py', STOCK[library], path, fails=True)
    assert output.splitlines()[-1].startswith(f'{path} is no checkpoint')
    assert 'Traceback' not in output and not mark.exists()


@pytest.mark.parametrize('options, sentence', [
    (['--resume'], 'holds objects (posix.'),
    ([
        '--cfg-options', 'model.init_cfg.type=Pretrained',
        'model.init_cfg.checkpoint={path}'
    ], 'is no checkpoint of tensors'),
    (['--init', ABSENT], 'could not be loaded (URLError: '),
    ([
        '--cfg-options', 'model.init_cfg.type=Pretrained',
        f'model.init_cfg.checkpoint={ABSENT}'
    ], 'could not be loaded (URLError: '),
])
def test_training_refuses_in_one_sentence(hostile, image_folder, tiny_config,
                                          tmp_path, options, sentence):
    tiny_config({
        'train_dataloader.dataset.data_root': str(image_folder)
    }).dump(tmp_path / 'config.py')
    (tmp_path / 'run').mkdir()
    name = 'iter_7.pth' if options == ['--resume'] else 'weights.pth'
    path, mark = hostile(path=tmp_path / 'run' / name)
    output = run_script(
        'tools/train.py',
        tmp_path / 'config.py',
        '--work-dir',
        tmp_path / 'run',
        *(option.format(path=path) for option in options),
        fails=True)
    source = ABSENT if 'URLError' in sentence else path
    # torch's line on a download may come after it.
    assert f'\n{source} {sentence}' in f'\n{output}'
    assert 'Traceback' not in output and not mark.exists()


def test_resuming_runs_no_config_of_a_checkpoint(make_runner, tmp_path):
    """MMEngine would run the text that mmcv kept there."""
    mark = tmp_path / 'it_ran'
    options = {'default_hooks.checkpoint.interval': 2}
    runner = make_runner({'train_cfg.max_iters': 2, **options})
    runner.train()
    path = Path(runner.work_dir) / 'iter_2.pth'
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['meta']['config'] = f'import os\nos.mkdir({str(mark)!r})'
    torch.save(checkpoint, path)
    refuse_objects()
    resumed = make_runner({
        'train_cfg.max_iters': 4,
        'resume': True,
        **options
    })
    resumed.train()
    assert resumed.iter == 4 and not mark.exists()


@pytest.fixture
def server(tmp_path):
    """A host of the files in a folder; its address."""
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(('localhost', 0), handler) as host:
        Thread(target=host.serve_forever).start()
        yield f'http://localhost:{host.server_port}'
        host.shutdown()


@pytest.mark.parametrize('address, reason', [
    ('{server}/absent.pth', 'HTTPError: HTTP Error 404'),
    ('{server}/hostile.pth', 'it holds more than tensors and plain types'),
    (ABSENT, 'URLError: <urlopen error '),
    ('torchvision://resnet500', "KeyError: 'resnet500'"),
])
def test_address_that_gives_nothing_is_one_sentence(hostile, server, tmp_path,
                                                    monkeypatch, address,
                                                    reason):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    _, mark = hostile()
    address = address.format(server=server)
    refuse_objects()
    with pytest.raises(SystemExit) as caught:
        CheckpointLoader.load_checkpoint(address)
    sentence = str(caught.value)
    assert sentence.startswith(f'{address} could not be loaded ({reason}')
    assert '\n' not in sentence and not mark.exists()


@pytest.mark.parametrize('place', ['.', '20261121_101032/vis_data'])
@pytest.mark.parametrize('text', [
    'import os\nos.mkdir({mark!r})',
    'a = __import__("os").mkdir({mark!r})',
    'train_cfg = dict(max_iters=[open({mark!r}, "w")])',
    'custom_imports = dict(imports=["hostile_module"])',
    '_base_ = "./hostile_module.py"',
    'train_cfg = "{{{{ fileDirname }}}}"',
])
def test_reading_a_run_runs_no_config(tmp_path, monkeypatch, place, text):
    mark = tmp_path / 'it_ran'
    logs = tmp_path / 'run' / '20261121_101032' / 'vis_data'
    logs.mkdir(parents=True)
    (logs / 'scalars.json').write_text('{"step": 1, "loss": 1.0}')
    folder = tmp_path / 'run' / place
    program = f'import os\nos.mkdir({str(mark)!r})'
    (tmp_path / 'hostile_module.py').write_text(program)
    (folder / 'hostile_module.py').write_text(program)
    (folder / 'config.py').write_text(text.format(mark=str(mark)))
    monkeypatch.syspath_prepend(str(tmp_path))
    config = read_run(str(tmp_path / 'run')).config
    assert config.text and config.max_iters is None
    assert not mark.exists()


def test_every_command_that_may_load_loads_tensors_only():
    """By make_parser; the others load no checkpoint."""
    for path in (ROOT / 'tools').rglob('*.py'):
        text = path.read_text()
        assert 'make_parser(' in text or 'mmengine.runner' not in text
