"""The command, for other frameworks, from a checkpoint of a training."""
import runpy
import sys

import pytest
import torch
from mmengine.config import Config


@pytest.fixture
def export(root, monkeypatch):
    """Run tools/export_pretrained.py in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['export', *map(str, arguments)])
        monkeypatch.setattr(sys, 'path', list(sys.path))
        runpy.run_path(
            str(root / 'tools/export_pretrained.py'), run_name='__main__')

    return run


@pytest.fixture
def checkpoint(build, root, tmp_path):
    """As tools/train.py leaves it."""
    _, model, _ = build('mask_jepa_r50_coco')
    config = Config.fromfile(str(root / 'configs/mask_jepa_r50_coco.py'))
    path = tmp_path / 'iter_8.pth'
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(cfg=config.pretty_text)), path)
    return path


def test_every_framework(export, checkpoint, capsys):
    expected = {
        'huggingface': ['config.json', 'model.safetensors',
                        'preprocessor_config.json'],
        'detectron2': 'model',
        'timm': 'layer4.2.conv3.weight',
        'torchvision': 'layer4.2.conv3.weight',
        'mmdet-vis': 'state_dict',
    }
    for framework, content in expected.items():
        export(checkpoint, '--to', framework)
        printed = capsys.readouterr().out
        path = checkpoint.with_name(
            printed.split(' to ')[-1].split('.\n')[0].rpartition('/')[2])
        assert f'for {framework} to ' in printed
        assert 'class predictor' in printed
        if framework == 'huggingface':
            assert path.name == 'mask_jepa_huggingface'
            assert sorted(each.name for each in path.iterdir()) == content
        else:
            assert content in torch.load(path, weights_only=True)
        if framework in ('timm', 'torchvision'):
            assert path.name == f'mask_jepa_{framework}_backbone.pth'
    video = torch.load(checkpoint.with_name('mask_jepa_mmdet-vis.pth'))
    assert {key.split('.')[0] for key in video['state_dict']} == {
        'backbone', 'track_head'}


def test_config_can_be_given(export, checkpoint, root):
    content = torch.load(checkpoint, weights_only=True)
    content.pop('meta')
    torch.save(content, checkpoint)
    with pytest.raises(SystemExit, match='name its config by --config'):
        export(checkpoint, '--to', 'timm')
    export(checkpoint, '--to', 'timm', '--config',
           root / 'configs/mask_jepa_r50_coco.py')
    assert checkpoint.with_name('mask_jepa_timm_backbone.pth').exists()


def test_config_of_another_network_is_refused(export, checkpoint, root):
    with pytest.raises(SystemExit, match='has no counterpart'):
        export(checkpoint, '--to', 'timm', '--config',
               root / 'configs/mask_jepa_swin-t_coco.py')
    assert not checkpoint.with_name('mask_jepa_timm_backbone.pth').exists()
