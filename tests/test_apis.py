"""Pretrain, encode and export, called from Python."""
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

import mask_jepa
from mask_jepa.apis.pretrain import names_test_images
from mask_jepa.utils import RunError, SettingError, load_config


@pytest.fixture
def config_file(tiny_config, tmp_path):
    """A very small run, as a file; its own images are not there."""
    path = tmp_path / 'small.py'
    tiny_config({
        'train_dataloader.dataset.data_root': 'no/such/folder',
        'val_cfg': dict(_delete_=True, type='SegmentationProbe',
                        train_dataset=dict()),
        'val_dataloader': dict(_delete_=True, dataset=dict(data_root='none')),
        'val_evaluator': dict(_delete_=True, type='mmseg.IoUMetric'),
        'default_hooks.checkpoint.save_best': 'probe/linear_mIoU',
        'default_hooks.checkpoint.interval': 1,
    }).dump(path)
    return path


@pytest.fixture
def checkpoint(config_file, image_folder, tmp_path):
    """Of two iterations on the images of a folder."""
    return mask_jepa.pretrain(
        config_file, data=image_folder, out=tmp_path / 'my run',
        train_cfg=dict(max_iters=2))


def test_pretrains_on_these_images_and_leaves_the_process_as_it_was(
        config_file, checkpoint, image_folder, tmp_path):
    folder = tmp_path / 'my run'
    assert Path(checkpoint) == folder / 'iter_2.pth'
    listed = (folder / 'image_list.txt').read_text().splitlines()
    assert len(listed) == 8
    cfg = Config.fromfile(folder / 'small.py')
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == [str(image_folder)]
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ
    load = CheckpointLoader._schemes['']
    assert load.__module__ == 'mmengine.runner.checkpoint'
    with pytest.raises(RunError, match='is of an earlier run'):
        mask_jepa.pretrain(config_file, image_folder, folder)
    longer = mask_jepa.pretrain(
        config_file, image_folder, folder, resume=True,
        cfg_options={'train_cfg.max_iters': 3})
    assert Path(longer).name == 'iter_3.pth'


@pytest.mark.parametrize('arguments, sentence', [
    (dict(config='r5'), 'There is no config file at r5'),
    (dict(data='no/such/folder'), 'no image folder or list at no/such/folder'),
    (dict(data=[]), 'data names no image'),
    (dict(resume='a.pth', init='b.pth'), 'give one of them'),
    (dict(init='b.pth'), 'There is no checkpoint at b.pth'),
    (dict(amp=True), '--amp needs a GPU'),
    (dict(model=dict(nois=dict(gamma=0.5))), 'no key model.nois: write'),
])
def test_wrong_settings_are_told(config_file, image_folder, tmp_path,
                                 arguments, sentence):
    with pytest.raises(SettingError, match=sentence):
        mask_jepa.pretrain(**{
            'config': config_file, 'data': image_folder,
            'out': tmp_path / 'run', **arguments})


@pytest.mark.parametrize('name, file', [
    ('r50', 'mask_jepa_r50_custom.py'),
    ('swin-t', 'mask_jepa_swin-t_custom.py'),
    ('r18_tiny', 'mask_jepa_r18_tiny.py'),
    ('mask_jepa_r50_coco', 'mask_jepa_r50_coco.py'),
])
def test_configs_have_short_names(root, tmp_path, monkeypatch, name, file):
    monkeypatch.chdir(tmp_path)
    assert Path(load_config(name).filename) == root / 'configs' / file


def test_encodes_the_images_of_folders_and_files(checkpoint, image_folder,
                                                 tmp_path):
    (image_folder / 'broken.png').write_bytes(b'none')
    lonely = tmp_path / 'a b.png'
    # Of two cells of 32 pixels by three, so that it is not scaled.
    image = cv2.resize(cv2.imread(str(image_folder / 'scene_0.jpg')), (96, 64))
    cv2.imwrite(str(lonely), image)
    encoded = list(mask_jepa.encode(checkpoint, [image_folder, lonely]))
    assert [Path(each.path) for each in encoded] == [
        *sorted(image_folder.rglob('*.jpg')), lonely]

    # From weights and pixels by hand.
    content = torch.load(checkpoint, weights_only=True)
    cfg = Config.fromstring(content['meta']['cfg'], '.py')
    model = MODELS.build(cfg.model)
    model.load_state_dict(content['state_dict'])
    mean, std = (np.array(cfg.model.data_preprocessor[key])
                 for key in ('mean', 'std'))
    pixels = torch.from_numpy((image[..., ::-1] - mean) / std).float()
    with torch.no_grad():
        features, memory = model.eval().encode(pixels.permute(2, 0, 1)[None])
    last = encoded[-1]
    np.testing.assert_allclose(last.mask_features, features[0], atol=1e-4)
    for ours, wanted in zip(last.memory, memory, strict=True):
        np.testing.assert_allclose(ours, wanted[0], atol=1e-4)

    for each in encoded:
        height, width = cv2.imread(each.path).shape[:2]
        assert each.masks.dtype == bool
        assert each.masks.shape == (len(each.labels), height, width)
        assert each.masks.any(axis=(1, 2)).all()
        assert (np.diff(each.scores) <= 0).all()
        assert ((each.scores >= 0) & (each.scores <= 1)).all()
    assert sum(len(each.masks) for each in encoded)

    # From an archive.
    archive = shutil.make_archive(str(tmp_path / 'images'), 'zip',
                                  image_folder)
    for ours, unpacked in zip(
            mask_jepa.encode(checkpoint, archive), encoded[:-1], strict=True):
        assert ours.path.removeprefix(archive) == unpacked.path.removeprefix(
            str(image_folder))
        assert np.array_equal(ours.mask_features, unpacked.mask_features)

    # At another size.
    source = image_folder / 'scene_0.jpg'  # 96 x 80 pixels
    each, = mask_jepa.encode(checkpoint, source, image_size=160)
    assert each.mask_features.shape[1:] == (160 // 4, 192 // 4)
    assert each.masks.shape[1:] == (80, 96)


def test_reads_images_as_the_pretraining_did(config_file, tmp_path):
    """In one channel of 16 bits, whose range was measured then."""
    folder = tmp_path / 'deep'
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(4):
        image = generator.integers(0, 4096, (64, 64), dtype=np.uint16)
        cv2.imwrite(str(folder / f'{index}.png'), image)
    checkpoint = mask_jepa.pretrain(
        config_file, data=folder, out=tmp_path / 'run',
        cfg_options={
            'train_cfg.max_iters': 1,
            'train_dataloader.dataset.color_type': 'unchanged',
            'train_dataloader.dataset.value_range': 'data',
            'model.backbone.in_channels': 1,
            'model.data_preprocessor.mean': [127.5],
            'model.data_preprocessor.std': [127.5],
            'model.data_preprocessor.bgr_to_rgb': False})
    # A dark one: alone it would be scaled to all of [0, 255].
    dark = tmp_path / 'dark.png'
    cv2.imwrite(str(dark), image // 16)
    color = tmp_path / 'color.png'
    cv2.imwrite(str(color), np.zeros((64, 64, 3), np.uint8))
    encoded, = mask_jepa.encode(checkpoint, [dark, color])
    assert Path(encoded.path) == dark
    named, = mask_jepa.encode(
        checkpoint, dark, config=next((tmp_path / 'run').glob('*.py')))
    assert np.array_equal(encoded.mask_features, named.mask_features)

    content = torch.load(checkpoint, weights_only=True)
    assert content['meta']['value_range'] == (0, 4095)
    model = MODELS.build(
        Config.fromstring(content['meta']['cfg'], '.py').model)
    model.load_state_dict(content['state_dict'])
    pixels = torch.from_numpy(image // 16 / 4095 * 255).float()
    with torch.no_grad():
        features, _ = model.eval().encode((pixels[None, None] - 127.5) / 127.5)
    np.testing.assert_allclose(encoded.mask_features, features[0], atol=1e-3)


def test_exports_as_the_command(checkpoint, config_file, image_folder,
                                tmp_path):
    path = Path(mask_jepa.export(checkpoint, 'mmseg', parts=['backbone']))
    assert path.parent == Path(checkpoint).parent
    assert path.name.startswith('mask_jepa_mmseg_backbone-')
    weights = torch.load(path, weights_only=True)['state_dict']
    assert {key.split('.')[0] for key in weights} == {'backbone'}
    with pytest.raises(ValueError, match='must be one of mmdet, mmseg'):
        mask_jepa.export(checkpoint, 'mmdett')
    # It is not what encode takes, since masks and classes would be noise.
    with pytest.raises(ValueError, match='does not say which network'):
        mask_jepa.encode(path, tmp_path / 'images')
    whole = mask_jepa.export(checkpoint, out=tmp_path / 'whole.pth')
    with pytest.raises(ValueError, match='of backbone and head are missing'):
        mask_jepa.encode(whole, image_folder, config=config_file)
    with pytest.raises(FileNotFoundError, match='no image folder .*/no$'):
        mask_jepa.encode(checkpoint, tmp_path / 'no')


@pytest.mark.parametrize('options, given', [
    ({}, False),
    ({'test_dataloader.dataset.data_root': 'held out'}, True),
    ({'test_dataloader': dict(dataset=dict(data_root='held out'))}, True),
    ({'test_dataloader.batch_size': 2}, False),
    ({'test_dataloader': None, 'train_dataloader.dataset.pipeline.1.a': 2},
     False),
])
def test_images_for_tests_that_are_named_stay(options, given):
    assert names_test_images(options) is given
