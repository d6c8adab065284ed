"""The command, for other frameworks, from a checkpoint of a training."""
import hashlib
import re
import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file


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
def train(build, root, tmp_path):
    """A checkpoint as tools/train.py leaves it, and what it hands over."""

    def make(name):
        _, model, weights = build(name)
        config = Config.fromfile(str(root / f'configs/{name}.py'))
        path = tmp_path / 'iter_8.pth'
        torch.save(dict(state_dict=model.state_dict(),
                        meta=dict(cfg=config.pretty_text)), path)
        return path, weights

    return make


@pytest.fixture
def checkpoint(train):
    """Of a ResNet-50."""
    return train('mask_jepa_r50_coco')[0]


def tensors_in(path):
    """Those that a framework would find."""
    if path.is_dir():
        return load_file(path / 'model.safetensors')
    content = torch.load(path, weights_only=True)
    for key in ('state_dict', 'model'):
        content = content.get(key, content)
    return content


def check_numbers(printed, path):
    """Those of tensors and of values, as printed, against the file."""
    tensors = tensors_in(path).values()
    values = sum(value.numel() for value in tensors) / 1e6
    assert f'Wrote {len(tensors)} tensors ({values:.1f} million' in printed


def test_every_framework(export, checkpoint, capsys):
    expected = {
        'huggingface': ['README.md', 'config.json', 'model.safetensors',
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
            # Named as in OpenMMLab's zoo.
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
            part = '_backbone' if framework in ('timm', 'torchvision') else ''
            assert path.name == f'mask_jepa_{framework}{part}-{digest}.pth'
        check_numbers(printed, path)
    video = torch.load(path)
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
    assert list(checkpoint.parent.glob('mask_jepa_timm_backbone-*.pth'))


def test_config_of_another_network_is_refused(export, checkpoint, root):
    with pytest.raises(SystemExit, match='has no counterpart'):
        export(checkpoint, '--to', 'timm', '--config',
               root / 'configs/mask_jepa_swin-t_coco.py')
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


@pytest.mark.parametrize('name, framework, expected', [
    ('r50', 'detectron2', {
        'backbone.bn*.num_batches_tracked': 1,
        'backbone.layer*.*.*.num_batches_tracked': 48,
        'backbone.layer*.*.downsample.*.num_batches_tracked': 4
    }),
    ('convnext-t', 'timm', {'backbone.norm*.*': 8}),
    ('swin-t', 'torchvision', {
        'backbone.norm*.*': 8,
        'backbone.stages.*.blocks.*.attn.w_msa.relative_position_index': 12
    }),
])
def test_what_has_no_place_is_named(export, train, capsys, name, framework,
                                    expected):
    checkpoint, weights = train(f'mask_jepa_{name}_coco')
    out = checkpoint.with_name('out.pth')
    export(checkpoint, '--to', framework, '--out', out)
    printed = capsys.readouterr().out
    check_numbers(printed, out)
    (total, names), = re.findall(
        rf'\n{framework} has no place for (\d+) tensors: (.*)\.\n', printed)
    counts = dict(each.split(' ')[::-1] for each in names.split(', '))
    if framework != 'detectron2':
        expected = {**expected, 'panoptic_head.*': sum(
            key.startswith('panoptic_head.') for key in weights)}
    assert counts == {key: str(count) for key, count in expected.items()}
    # What is in the file and what is not make up the whole.
    assert int(total) == sum(expected.values())
    assert int(total) + len(tensors_in(out)) == len(weights)


@pytest.mark.parametrize('framework', ['timm', 'torchvision'])
def test_backbones_alone_have_no_other_parts(export, checkpoint, capsys,
                                             framework):
    out = checkpoint.with_name('out.pth')
    for parts in (['transformer_decoder'], ['backbone', 'pixel_decoder']):
        with pytest.raises(SystemExit, match='place for the backbone alone'):
            export(checkpoint, '--to', framework, '--parts', *parts, '--out',
                   out)
        assert not out.exists()
    export(checkpoint, '--to', framework, '--parts', 'backbone', '--out', out)
    printed = capsys.readouterr().out
    assert out.exists()
    # Nothing is advised that is then refused.
    assert 'class predictor' in printed and '--parts' not in printed


@pytest.mark.parametrize('framework', ['huggingface', 'timm', 'mmdet'])
def test_config_that_is_no_pretraining_is_refused(export, checkpoint, root,
                                                  framework):
    config = root / ('configs/finetune/mmdet/mask2former_r50-mask-jepa-pre_'
                     '8xb2-lsj-50e_coco.py')
    with pytest.raises(SystemExit) as caught:
        export(checkpoint, '--to', framework, '--config', config)
    assert str(caught.value) == (f'{config} is no pretraining config: give '
                                 'one such as configs/mask_jepa_r50_coco.py.')
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_model_card_says_where_the_weights_come_from(export, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    content['meta'].update(iter=1500, mask_jepa_version='7.8.9',
                           experiment_name='one|two')
    torch.save(content, checkpoint)
    checkpoint.with_name('image_list.txt').write_text('a.jpg\nb.jpg\n\nc.jpg')
    export(checkpoint, '--to', 'huggingface', '--branch', 'target')
    card = checkpoint.with_name('mask_jepa_huggingface') / 'README.md'
    text = card.read_text()
    assert text.startswith('---\nlibrary_name: transformers\n')
    for row in ('| data | data/coco/train2017 (3 images) |',
                '| recipe | one\\|two |',
                '| length | 1,500 iterations, each of 8 images in each '
                'process |',
                '| weights | target branch: backbone, pixel_decoder, '
                'transformer_decoder |'):
        assert row in text.splitlines()
    assert 'trained by Mask-JEPA 7.8.9' in text
    assert 'Mask2FormerForUniversalSegmentation.from_pretrained(' in text
    assert "type='MaskJEPA'" in text


@pytest.mark.parametrize('framework, is_folder, options', [
    ('mmdet', True, ['--out', 'out']),
    ('timm', True, ['--out', 'out']),
    ('huggingface', False, ['--out', 'out']),
    ('huggingface', False, []),
])
def test_place_is_checked_before_anything_is_loaded(
        export, tmp_path, monkeypatch, framework, is_folder, options):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / (options or ['', 'mask_jepa_huggingface'])[1]
    place.mkdir() if is_folder else place.write_text('mine')
    with pytest.raises(SystemExit, match=f'{place.name} is a f.* --out'):
        export('no.pth', '--to', framework, *options)
    # Nothing has come beside it.
    assert list(tmp_path.iterdir()) == [place]
    assert place.is_dir() == is_folder
