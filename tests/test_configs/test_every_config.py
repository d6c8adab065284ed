"""Every config parses, and holds what the documentation says of it."""
import re
import subprocess
import sys

import pytest
from config_files import CONFIGS, PRETRAINING, load, name, plain
from mmengine.config import Config
from modelindex.load_model_index import load as load_index

from mask_jepa.engine import check_config, config_pairs


@pytest.mark.parametrize('path', sorted(CONFIGS.rglob('*.py')), ids=name)
def test_parses_and_survives_its_own_text(path):
    config = load(path)
    again = Config.fromstring(config.pretty_text, file_format='.py')
    assert plain(again) == plain(config)


@pytest.mark.parametrize(
    'path', [*PRETRAINING, *CONFIGS.glob('finetune/*/*r50-mask*-pre_*.py'),
             *CONFIGS.glob('baselines/*.py')], ids=name)
def test_nothing_in_it_is_called_wrong(path, monkeypatch):
    # Neither images nor initial weights are here.
    monkeypatch.setattr(config_pairs, 'find_missing_files', lambda cfg: ())
    check_config(load(path))


# The table of the documentation and mim's index say what configs hold.


ROOT = CONFIGS.parent
PAGE = ROOT / 'docs' / 'configs.md'
PATHS = [*PRETRAINING, *sorted(CONFIGS.glob('finetune/*/*.py'))]
# Twins have the network of what they are twins of.
IN_TABLE = [*PRETRAINING, *sorted(CONFIGS.glob('finetune/*/*-pre_*.py'))]
# What a data set's class is called -> what the index calls it.
DATASETS = {
    'CocoDataset': 'COCO',
    'CocoPanopticDataset': 'COCO',
    'ADE20KDataset': 'ADE20K',
    'ADE20KPanopticDataset': 'ADE20K',
    'ADE20KInstanceDataset': 'ADE20K',
    'CityscapesDataset': 'Cityscapes',
    'YouTubeVISDataset': 'YouTube-VIS 2021',
    'BaseSegDataset': 'CamVid',
}
# What stands in the paths of a pretraining's images.
FOLDERS = {
    'COCO': 'coco',
    'ADE20K': 'ADE',
    'Cityscapes': 'cityscapes',
    'ImageNet-1k': 'imagenet',
    'Custom': 'my_images',
    'CamVid': 'camvid',
    'Nuclei': 'nuclei',
}
LENGTHS = {
    'iterations': 'max_iters',
    'epochs': 'max_epochs',
    'passes': 'max_passes',
}


@pytest.fixture(scope='module')
def index(tmp_path_factory):
    """Written as in a build: without any package."""
    out = tmp_path_factory.mktemp('index') / 'model-index.yml'
    subprocess.run([
        sys.executable, '-I', '-S', ROOT / 'tools/misc/write_model_index.py',
        out
    ],
                   check=True)
    return load_index(str(out))


@pytest.fixture(scope='module')
def table():
    """The cells of each config in the documentation."""
    begin, end = '<!-- configs: begin -->', '<!-- configs: end -->'
    text = PAGE.read_text().partition(begin)[2].partition(end)[0]
    rows = re.findall(r'^\| (mask\S+) \| (.*) \|$', text, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    return {name: cells.split(' | ') for name, cells in rows}


def gpus(path):
    """How many a fine-tuning is named after."""
    return int(re.search(r'_(?:ms-)?(\d+)xb', path.stem)[1])


def as_list(value):
    return [value] if isinstance(value, str) else value


def task(config):
    """What a fine-tuning learns, by its model."""
    if config.default_scope == 'mmseg':
        return 'Semantic Segmentation'
    if 'track_head' in config.model:
        return 'Video Instance Segmentation'
    kind = 'Panoptic' if config.model.test_cfg.panoptic_on else 'Instance'
    return f'{kind} Segmentation'


def test_openmmlabs_reader_finds_no_fault(index):
    index.build_models_with_collections()
    assert {ROOT / model.config for model in index.models} == set(PATHS)
    assert not index.check(silent=True)


@pytest.mark.parametrize('path', PATHS, ids=name)
def test_config_holds_what_is_said_of_it(index, table, path):
    entry, = (model for model in index.models if model.name == path.stem)
    metadata = entry.metadata.data
    config = load(path)
    model = config.model
    loader = config.train_dataloader

    backbone, family = metadata['Architecture']
    kind = model.backbone.get('model_name') or model.backbone.type
    assert backbone.replace(' ', '').lower() in kind.replace('_', '').lower()
    head = model.get('track_head') or model.get('panoptic_head')
    head = head or model.decode_head
    assert head.type.split('.')[-1].startswith(family)
    if path in PRETRAINING:
        roots = as_list(loader.dataset.data_root)
        named = as_list(metadata['Training Data'])
        assert len(roots) == len(named)
        for folder, dataset in zip(roots, named):
            assert FOLDERS[dataset] in folder
        assert 'Task' not in metadata
        batch = config.auto_scale_lr.base_batch_size
        image = loader.dataset.get('crop_size') or config.crop_size
    else:
        dataset = loader.dataset.get('dataset', loader.dataset)
        named = DATASETS[dataset.type]
        if 'nuclei' in dataset.data_root:  # in the form of COCO
            named = 'Nuclei'
        assert named == metadata['Training Data']
        assert task(config) == metadata['Task']
        batch = gpus(path) * loader.batch_size
        image = 512
    assert batch == metadata['Batch Size']

    if path in IN_TABLE:
        parameters, side, flops, images, total, length = table[path.stem]
        assert [image, loader.batch_size,
                batch] == [int(side), int(images),
                           int(total)]
        count, unit = length.split()
        assert config.train_cfg[LENGTHS[unit]] == int(count)
        assert metadata[unit.capitalize()] == int(count)
        assert parameters == f'{metadata["Parameters (M)"]:.1f} M'
        assert flops == (f'{metadata["FLOPs (G)"]:.1f} G'
                         if 'FLOPs (G)' in metadata else 'not counted')
