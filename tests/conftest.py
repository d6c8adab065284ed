"""Fixtures: a very small Mask-JEPA, images to train it on, and a Runner."""
import copy
import gc
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import CheckpointLoader, Runner
from scenes_and_globals import (IMAGE_SIZE, TINY_OPTIONS, YAPF_USERS,
                                draw_scene, forget_globals)
from torch.utils.data import dataloader

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def data_folder():
    """Where the real data are, or would be."""
    return Path(
        os.environ.get('MASK_JEPA_DATA', ROOT.parent / 'shared' / 'data'))


def real_images():
    """All real photographs; none where the data are absent."""
    return sorted(data_folder().glob('**/*.jpg'))


def pytest_report_header():
    """Say in the report which images the tests see."""
    count = len(real_images())
    return f'Mask-JEPA: {count} real images in {data_folder()}' if count else (
        f'Mask-JEPA: no real images in {data_folder()}: generated ones')


def pytest_collection_finish():
    """Spare the garbage collector what all tests have imported: a quarter of
    the time."""
    gc.freeze()


def stop_workers():
    """End the workers of every DataLoader, which would wait for each other."""
    for item in gc.get_objects():
        if type(item) is dataloader._MultiProcessingDataLoaderIter:
            item._shutdown_workers()


@pytest.fixture(autouse=True)
def plain_config_text(monkeypatch):
    """Spare each Runner the seconds that yapf takes to lay out its config."""
    for module in YAPF_USERS:
        monkeypatch.setattr(f'{module}.FormatCode',
                            lambda text, **kwargs: (text, True),
                            raising=False)


@pytest.fixture(autouse=True)
def clean_globals():
    """Run every test with mmdet's modules, and nothing left of others."""
    forget_globals()
    register_all_modules(init_default_scope=True)
    # Initialisation would log every weight.
    MMLogger.get_instance('tests', log_level='WARNING')
    torch.manual_seed(0)
    # A command that runs within a test changes both for good.
    with (patch.dict(os.environ),
          patch.object(CheckpointLoader, '_schemes',
                       CheckpointLoader._schemes.copy())):
        yield
    forget_globals()


@pytest.fixture(scope='session')
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope='session')
def base_config():
    """The tiny config, reduced further; read once."""
    config = Config.fromfile(str(ROOT / 'configs' / 'mask_jepa_r18_tiny.py'))
    config.merge_from_dict(TINY_OPTIONS)
    return config


@pytest.fixture
def tiny_config(base_config):
    """Make a config of the very small network.

    Options go by dotted key; those of a hook may begin with its type.
    """

    def make(options=None):
        config = copy.deepcopy(base_config)
        hooks = {hook['type']: f'default_hooks.{name}'
                 for name, hook in config.default_hooks.items()}
        plain = {}
        for key, value in (options or {}).items():
            first, *rest = key.split('.')
            plain['.'.join([hooks.get(first, first), *rest])] = value
        config.merge_from_dict(plain)
        return config

    return make


@pytest.fixture
def make_model(tiny_config):
    """Build and initialise a very small MaskJEPA; options as of ``model``."""

    def make(options=None):
        options = {f'model.{key}': value
                   for key, value in (options or {}).items()}
        torch.manual_seed(0)
        model = MODELS.build(tiny_config(options).model)
        model.init_weights()
        return model

    return make


@pytest.fixture
def tiny_model(make_model):
    """A very small MaskJEPA."""
    return make_model()


@pytest.fixture
def images():
    """Two normalised images."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator)


@pytest.fixture
def image_folder(tmp_path):
    """A folder of eight generated scenes, one level of it nested."""
    folder = tmp_path / 'images'
    (folder / 'nested').mkdir(parents=True)
    for index in range(8):
        place = folder / 'nested' if index % 2 else folder
        draw_scene(index).save(place / f'scene_{index}.jpg', quality=95)
    return folder


@pytest.fixture(scope='session')
def real_data(tmp_path_factory):
    """A few real images; generated ones where the data are absent."""
    paths = real_images()[::20]
    if not paths:
        folder = tmp_path_factory.mktemp('generated')
        paths = [folder / f'{index}.jpg' for index in range(8)]
        for index, path in enumerate(paths):
            draw_scene(index, size=(200, 160)).save(path)
    return paths


@pytest.fixture
def make_runner(tiny_config, image_folder, tmp_path):
    """Build a Runner as tools/train.py does, on the generated scenes."""
    number = itertools.count()

    def make(options=None, work_dir='work', hooks=()):
        stop_workers()
        forget_globals()
        # mmengine names the folder of a run by the second.
        while (tmp_path / work_dir / time.strftime('%Y%m%d_%H%M%S')).exists():
            time.sleep(0.1)
        config = tiny_config({
            'work_dir': str(tmp_path / work_dir),
            'train_dataloader.dataset.data_root': str(image_folder),
            'experiment_name': f'test_{next(number)}',
            **(options or {})
        })
        runner = Runner.from_cfg(config)
        for hook, priority in hooks:
            runner.register_hook(hook, priority)
        return runner

    yield make
    stop_workers()
    # A training that did not end has left its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def logged():
    """Read the values of a name in scalars.json, by iteration."""

    def read(runner, name):
        path = Path(runner._log_dir) / 'vis_data' / 'scalars.json'
        lines = map(json.loads, path.read_text().splitlines())
        return {line['step']: line[name] for line in lines if name in line}

    return read
