"""The config in a checkpoint is read, and never run; others are refused."""
import pytest
from mmengine.config import Config

from projects.mask_jepa.export import (load_pretraining_config,
                                       pretraining_config)


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
