"""Exported weights as files, and the config of a checkpoint."""
import os
import pickle
from argparse import Namespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub

from mask_jepa import __version__
from mask_jepa.weights import (Export, check_out, load_checkpoint,
                               load_pretraining_config, parts_left_out,
                               pretraining_config, save_export)


@pytest.fixture
def export():
    return Export({'backbone.a': torch.arange(6.).view(2, 3)},
                  {'target.a': 'a reason'}, ('backbone', ))


def test_saved_file_is_safe_and_says_where_it_comes_from(export, tmp_path):
    path = str(tmp_path / 'folder' / 'weights.pth')
    save_export(export, path, 'mmseg', 'target', 'run 7, iteration 3')
    content = torch.load(path, weights_only=True)
    assert content['state_dict'].keys() == export.state_dict.keys()
    assert torch.equal(content['state_dict']['backbone.a'],
                       export.state_dict['backbone.a'])
    assert content['meta'] == dict(
        mask_jepa_version=__version__,
        library='mmseg',
        branch='target',
        parts=['backbone'],
        source='run 7, iteration 3')


def test_loads_what_it_saves(export, tmp_path):
    path = str(tmp_path / 'weights.pth')
    save_export(export, path, 'mmdet', 'online', 'x')
    loaded = load_checkpoint(path)['state_dict']
    assert torch.equal(loaded['backbone.a'], export.state_dict['backbone.a'])


def test_file_says_which_parts_it_does_not_hold(export, tmp_path):
    path = str(tmp_path / 'weights.pth')
    save_export(export, path, 'mmdet', 'online', 'x')
    assert parts_left_out(
        load_checkpoint(path)) == ['pixel_decoder', 'transformer_decoder']
    whole = export._replace(
        parts=('backbone', 'pixel_decoder', 'transformer_decoder'))
    save_export(whole, path, 'mmdet', 'online', 'x')
    assert parts_left_out(load_checkpoint(path)) == []


@pytest.mark.parametrize(
    'extra', [dict(), dict(meta=dict(library='mmdet')), dict(meta=None)])
def test_file_that_names_no_parts_leaves_none_out(extra):
    assert parts_left_out(dict(state_dict={}, **extra)) == []


def test_failed_save_leaves_the_old_file(export, tmp_path, monkeypatch):
    path = tmp_path / 'weights.pth'
    path.write_bytes(b'old')

    def fail(*args):
        raise OSError('full')

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(OSError, match='full'):
        save_export(export, str(path), 'mmdet', 'online', 'x')
    assert path.read_bytes() == b'old'


class Malicious:
    """Makes a folder on unpickling."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder, )


def test_nothing_is_unpickled(tmp_path):
    """What would call the operating system is refused altogether."""
    path, folder = tmp_path / 'bad.pth', tmp_path / 'unpickled'
    weights = dict(a=torch.arange(3))
    torch.save(dict(state_dict=weights, extra=Malicious(str(folder))), path)
    with pytest.raises(ValueError, match='bad.pth is no checkpoint'):
        load_checkpoint(str(path))
    assert not folder.exists()


def test_stock_checkpoint_gives_its_tensors(tmp_path):
    """With a HistoryBuffer and numpy values, as mmengine 0.10 saves them."""
    path = tmp_path / 'stock.pth'
    hub = MessageHub('stock')
    hub.update_scalar('train/loss', np.float32(1.5))
    hub.update_info('array', np.arange(4))
    weights = {
        'float': torch.randn(3, 2),
        'half': torch.randn(5).half(),
        'bfloat16': torch.randn(5).bfloat16(),
        'bool': torch.tensor([True, False]),
        'int': torch.tensor(7),
        'view': torch.arange(12).view(3, 4).T,
        'parameter': torch.nn.Parameter(torch.randn(2))
    }
    torch.save(
        dict(state_dict=weights, message_hub=hub.state_dict(), meta=dict()),
        path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    loaded = load_checkpoint(str(path))['state_dict']
    assert loaded.keys() == weights.keys()
    for name, value in weights.items():
        assert loaded[name].dtype == value.dtype
        assert torch.equal(loaded[name], value)


def test_state_dict_of_a_foreign_type_is_refused(tmp_path):
    path = tmp_path / 'bad.pth'
    torch.save(dict(state_dict=Namespace(a=torch.zeros(2))), path)
    with pytest.raises(ValueError, match='holds no "state_dict"'):
        load_checkpoint(str(path))


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04'])
def test_other_files_get_one_sentence(tmp_path, content):
    path = tmp_path / 'bad.pth'
    path.write_bytes(content)
    sentence = 'bad.pth is (no|a damaged) checkpoint'
    with pytest.raises(ValueError, match=sentence) as caught:
        load_checkpoint(str(path))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('content', [dict(model=1), [1, 2], torch.zeros(2)])
def test_file_without_a_state_dict_is_named(tmp_path, content):
    path = tmp_path / 'other.pth'
    torch.save(content, path)
    with pytest.raises(ValueError, match='other.pth holds no "state_dict"'):
        load_checkpoint(str(path))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        load_checkpoint(str(tmp_path / 'nowhere.pth'))


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder with a folder, a file and what is read in it."""
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').write_text('')
    (tmp_path / 'source').write_text('')
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize('path, is_folder', [
    ('file', False),
    ('new', False),
    ('folder/new', False),
    ('new/folder/new', False),
    ('folder', True),
    ('folder/', True),
    ('new', True),
    ('new/', True),
    ('folder/new/new', True),
])
def test_what_can_be_written_is_taken(places, path, is_folder):
    check_out(path, 'source', is_folder)


def test_an_export_takes_the_place_of_another(places, tmp_path):
    (tmp_path / 'folder/model.safetensors').write_text('')
    check_out('folder', 'source', is_folder=True)


@pytest.mark.parametrize('path, is_folder, sentence', [
    ('folder', False, 'folder is a folder, but a file will be written: '),
    ('new/', False, 'new/ is a folder, but a file will be written: '),
    ('.', True, '. holds other files: give another'),
    ('file', True, 'file is a file, but a folder will be written: '),
    ('file/new', False, 'file/new cannot be written, since '),
    ('file/new/new', True, 'file/new/new cannot be written, since '),
    ('source', False, 'source is what is read, and would be lost: '),
    ('folder/../source', False, 'folder/../source is what is read, '),
])
def test_what_cannot_be_written_is_told_in_one_sentence(
        places, path, is_folder, sentence):
    with pytest.raises(ValueError) as caught:
        check_out(path, 'source', is_folder)
    assert str(caught.value).startswith(sentence)
    assert '--out' in str(caught.value)


# The config in a checkpoint is read, and never run; others are refused.


def test_is_what_mmengine_reads(root):
    for name in ('mask_jepa_r18_tiny', 'mask_jepa_swin-t_coco',
                 'mask_jepa_vit-b_coco'):
        config = Config.fromfile(str(root / 'configs' / f'{name}.py'))
        read = pretraining_config(dict(meta=dict(cfg=config.pretty_text)))
        expected = Config.fromstring(config.pretty_text, file_format='.py')
        assert read.to_dict() == expected.to_dict()


@pytest.mark.parametrize('text', [
    "model = __import__('os').mkdir('{folder}')",
    "import os\nos.mkdir('{folder}')",
    "model = dict(type=[__import__('os').mkdir('{folder}')])",
    "model = dict(**__import__('os').mkdir('{folder}'))",
    "custom_imports = dict(imports=['os'.__class__])",
    'model = base.model',
    'model = dict(',
])
def test_nothing_in_it_is_run(text, tmp_path):
    folder = tmp_path / 'made'
    text = text.replace('{folder}', str(folder))
    with pytest.raises(ValueError, match='name the config by --config'):
        pretraining_config(dict(meta=dict(cfg=text)))
    assert not folder.exists()


def test_imports_are_not_made(tmp_path, monkeypatch):
    (tmp_path / 'surprise.py').write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    text = "custom_imports = dict(imports=['surprise'])\nmodel = dict(a=-1.5)"
    assert pretraining_config(dict(meta=dict(cfg=text))).model.a == -1.5


@pytest.mark.parametrize('checkpoint', [{}, dict(meta=None),
                                        dict(meta=dict(cfg=''))])
def test_a_checkpoint_without_one_says_what_to_do(checkpoint):
    with pytest.raises(ValueError, match='tools/train.py wrote, or name'):
        pretraining_config(checkpoint)


@pytest.mark.parametrize('kind', ['MaskJEPA', 'mmdet.MaskJEPA'])
def test_pretraining_is_taken_with_and_without_its_library(tmp_path, kind):
    path = tmp_path / 'config.py'
    path.write_text(f'model = dict(type={kind!r}, size=3)\n')
    assert load_pretraining_config(str(path)).model.size == 3


@pytest.mark.parametrize('text', [
    'model = dict(type="mmdet.Mask2Former")',
    'model = dict(type="NotMaskJEPA")',
    'model = dict(backbone=dict(type="MaskJEPA"))',
    'model = "MaskJEPA"',
    'data_root = "data"',
])
def test_others_are_refused_in_one_sentence(tmp_path, text):
    path = tmp_path / 'config.py'
    path.write_text(text + '\n')
    with pytest.raises(ValueError) as caught:
        load_pretraining_config(str(path))
    assert str(caught.value) == (f'{path} is no pretraining config: give one '
                                 'such as configs/mask_jepa_r50_coco.py.')
