"""What is tested on is never learned from; on the real file names."""
import os
from pathlib import Path

import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from mmseg.utils import register_all_modules

from mask_jepa.datasets import UnlabeledImageDataset

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / 'configs' / 'experiments'
DATA = Path(
    os.environ.get('MASK_JEPA_DATA', ROOT.parent / 'shared' / 'data'))


@pytest.fixture(scope='module')
def split():
    return Config.fromfile(str(EXPERIMENTS / '_base_' / 'camvid_split.py'))


def test_every_image_is_in_one_part(split):
    assert sorted(split.pool + split.held_out) == list(range(123))


@pytest.fixture(scope='module')
def names():
    """File names of CamVid's training set."""
    found = sorted(
        path.name for path in (DATA / 'camvid/img_dir/train').glob('*.jpg'))
    if len(found) != 123:
        # Generated scenes come from no drives; the split is made of drives.
        pytest.skip('CamVid is not here')
    return found


def test_last_third_of_each_drive_is_held_out(split, names):
    for drive, count in {'0001TP': 21, '0006R0': 34, '0016E5': 68}.items():
        indices = [index for index, name in enumerate(names)
                   if name.startswith(drive)]
        assert len(indices) == count
        held_out = [index for index in indices if index in split.held_out]
        assert held_out == indices[-len(held_out):]
        assert len(held_out) == round(count / 3)


def files_of(config):
    """Paths of the images of a data set of mmseg."""
    dataset = DATASETS.build(config)
    parts = getattr(dataset, 'datasets', [dataset])
    return [
        part.get_data_info(index)['img_path'] for part in parts
        for index in range(len(part))
    ]


def test_no_file_is_both_learned_from_and_tested_on(names):
    plan = Config.fromfile(str(EXPERIMENTS / 'camvid_labels.py'))
    folder = DATA / 'camvid'
    register_all_modules(init_default_scope=True)
    config = Config.fromfile(str(EXPERIMENTS / '_base_/camvid_task.py'))
    config.merge_from_dict(
        {'train_dataloader.dataset.data_root': str(folder)})
    for part in config.val_dataloader.dataset.datasets:
        part.data_root = str(folder)
    learned = files_of(config.train_dataloader.dataset)
    tested = files_of(config.val_dataloader.dataset)
    assert len(learned) == len(set(learned)) == 82
    assert len(tested) == len(set(tested)) == 62
    assert not set(learned) & set(tested)
    # Without labels, the same ones.
    options = plan.pretrainings['Mask-JEPA'].options
    unlabeled = UnlabeledImageDataset(
        str(folder / 'img_dir/train'), [],
        indices=options['train_dataloader.dataset.indices'])
    pretrained = [unlabeled.get_data_info(index)['img_path']
                  for index in range(len(unlabeled))]
    assert sorted(map(os.path.abspath, pretrained)) == sorted(
        map(os.path.abspath, learned))


@pytest.mark.parametrize('name', ['labels', 'ablation', 'steps'])
def test_experiments_learn_from_the_pool_alone(split, name):
    plan = Config.fromfile(str(EXPERIMENTS / f'camvid_{name}.py'))
    key = 'train_dataloader.dataset.indices'
    for pretraining in plan.pretrainings.values():
        assert pretraining.options[key] == split.pool
    for task in plan.tasks.values():
        config = Config.fromfile(str(ROOT / task.config))
        config.merge_from_dict(task.options)
        assert config.train_dataloader.dataset.indices == split.pool
        street, drives = config.val_dataloader.dataset.datasets
        assert drives.indices == split.held_out
        prefix = config.train_dataloader.dataset.data_prefix
        assert drives.data_prefix == prefix
        assert street.data_prefix.img_path == 'img_dir/val'
        assert config.test_dataloader == config.val_dataloader
