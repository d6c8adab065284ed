"""Which images the quickstart shows, and whose labels."""
import shlex
from argparse import ArgumentParser

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import init_default_scope

from mask_jepa.datasets import UnlabeledImageDataset
from mask_jepa.utils import CFG_OPTIONS, load_config
from mask_jepa.utils.configs import finding_mmseg


@pytest.fixture
def quickstart(root, tmp_path, monkeypatch):
    """The tool on a fresh clone, without other images."""
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(root / 'tools'))
    monkeypatch.setenv('MASK_JEPA_DATA', str(tmp_path / 'nowhere'))
    import quickstart
    (tmp_path / 'out').mkdir()
    monkeypatch.setattr(quickstart, 'OUT', str(tmp_path / 'out'))
    return quickstart


def commands(quickstart, data):
    return {stage.name: shlex.split(stage.command)
            for stage in quickstart.plan(data)}


def options(command):
    """The config of a command, and what it changes."""
    parser = ArgumentParser()
    parser.add_argument('config')
    parser.add_argument('--cfg-options', **CFG_OPTIONS)
    args, _ = parser.parse_known_args(command[1:])
    return args.config, args.cfg_options


def test_pictures_are_of_the_images_that_are_given(quickstart, image_folder):
    data = quickstart.find_data(str(image_folder))
    train, held_out = (
        {info['img_path'] for info in UnlabeledImageDataset(
            data[name], [], lazy_init=True).load_data_list()}
        for name in ('train', 'held_out'))
    assert len(train) == len(held_out) == 4 and not train & held_out
    assert train | held_out == set(map(str, image_folder.rglob('*.jpg')))
    stages = commands(quickstart, data)
    for stage in ('test-pretrained', 'draw-pretrained'):
        place = stages[stage].index('--data')
        assert stages[stage][place + 1] == data['held_out']
    # The pictures of the training as well.
    settings = options(stages['pretrain'])[1]
    for split, name in dict(train='train', test='held_out').items():
        assert settings[f'{split}_dataloader.dataset.data_root'] == data[name]
    assert stages['draw-features'][1] == data['held_out']


def test_few_images_serve_for_both(quickstart, image_folder):
    (image_folder / 'scene_0.jpg').unlink()
    data = quickstart.find_data(str(image_folder))
    assert len(UnlabeledImageDataset(data['train'], [])) == len(
        UnlabeledImageDataset(data['held_out'], [])) == 7


def test_folder_without_images_is_named(quickstart, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SystemExit, match='holds no image'):
        quickstart.find_data(str(tmp_path / 'empty'))


@pytest.mark.parametrize('own', [False, True])
def test_labels_are_those_of_nuclei(quickstart, image_folder, monkeypatch,
                                    own):
    """Each stage with labels reads them, of its own classes."""
    data = quickstart.find_data(str(image_folder) if own else None)
    assert data['labelled'] == f'{quickstart.OUT}/nuclei'
    monkeypatch.setenv('MASK_JEPA_DATA', f'{quickstart.OUT}/labelled')
    stages = commands(quickstart, data)
    for library in ('mmdet', 'mmseg'):
        assert options(stages[f'verify-{library}']) == options(
            stages[f'finetune-{library}'])
        config = load_config(*options(stages[f'finetune-{library}']))
        init_default_scope(library)
        for split in ('train', 'val', 'test'):
            dataset = config[f'{split}_dataloader'].dataset
            dataset = DATASETS.build(dict(
                dataset, type=f'{library}.{dataset.type}'))
            assert len(dataset) == (32 if split == 'train' else 8)
            assert dataset.metainfo['classes'][-1] == 'nucleus'
            sample = dataset[0]['data_samples']
            may_lack = split == 'train'  # crops, at random
            if library == 'mmseg':
                labels = np.unique(sample.gt_sem_seg.data)
                assert set(labels) <= {0, 1, 255}
                assert may_lack or 1 in labels
            else:
                labels = sample.gt_instances.labels
                assert may_lack or len(labels)
                assert not labels.any()
    # Of eight images, each is drawn.
    assert options(stages['test-mmseg'])[1][
        'default_hooks.visualization.interval'] == 1
    init_default_scope('mmseg')
    config = load_config(*options(stages['pretrain']))
    for dataset in (config.val_dataloader.dataset,
                    config.val_cfg.train_dataset):
        dataset = DATASETS.build(dict(dataset, type='mmseg.BaseSegDataset'))
        assert dataset.metainfo['classes'] == ['background', 'nucleus']
        assert 1 in dataset[0]['data_samples'].gt_sem_seg.data


def test_stock_tools_get_a_config_that_they_can_read(quickstart,
                                                     monkeypatch):
    """mmengine of the forks does not find what ours inherit from mmseg."""
    stock = quickstart.FINETUNE_CONFIGS['mmseg']
    with finding_mmseg():
        assert quickstart.readable_config('mmseg', stock) == stock
    expected = load_config(stock).to_dict()
    monkeypatch.setitem(MODULE2PACKAGE, 'mmseg', 'not-installed')
    assert quickstart.readable_config('mmdet', quickstart.FINETUNE_CONFIGS[
        'mmdet']) == quickstart.FINETUNE_CONFIGS['mmdet']
    written = quickstart.readable_config('mmseg', stock)
    assert Config.fromfile(written).to_dict() == expected
