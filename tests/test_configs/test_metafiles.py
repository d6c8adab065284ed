"""The index that mim reads says what the configs hold."""
import re

import pytest
import yaml
from config_files import CONFIGS, load
from modelindex.load_model_index import load as load_index

ROOT = CONFIGS.parent
# What a data set's class is called -> what the index calls it.
DATASETS = {
    'CocoDataset': 'COCO',
    'CocoPanopticDataset': 'COCO',
    'ADE20KDataset': 'ADE20K',
    'ADE20KPanopticDataset': 'ADE20K',
    'ADE20KInstanceDataset': 'ADE20K',
    'CityscapesDataset': 'Cityscapes',
    'YouTubeVISDataset': 'YouTube-VIS 2021',
}


# What stands in the paths of a pretraining's images.
FOLDERS = {
    'COCO': 'coco',
    'ADE20K': 'ADE',
    'Cityscapes': 'cityscapes',
    'ImageNet-1k': 'imagenet',
    'Custom': 'my_images',
    'CamVid': 'camvid',
}


def models():
    found = []
    for path in sorted(CONFIGS.rglob('metafile.yml')):
        found += yaml.safe_load(path.read_text())['Models']
    return {model['Name']: model for model in found}


def table():
    """The table of pretraining configs in the README."""
    text = (ROOT / 'projects/mask_jepa/README.md').read_text()
    rows = re.findall(
        r'^\| (mask_jepa_\S+) \| (\S+) M \| \d+ \| (\S+) G \| (\d+) '
        r'\| (\d+) \|', text, re.MULTILINE)
    return {name: [float(value) for value in row] for name, *row in rows}


def test_openmmlabs_reader_finds_no_fault(monkeypatch):
    monkeypatch.chdir(ROOT)  # The paths in the index begin there.
    index = load_index('model-index.yml')
    index.build_models_with_collections()
    assert {model.name for model in index.models} == set(models())
    assert not index.check(silent=True)


@pytest.mark.parametrize('name', sorted(models()))
def test_entry_holds_what_the_config_says(name):
    model = models()[name]
    metadata = model['Metadata']
    config = load(ROOT / model['Config'])
    gpus = int((re.search(r'_(?:ms-)?(\d+)xb', name) or [0, '8'])[1])
    if name == 'mask_jepa_r18_tiny':
        gpus = 1
    assert metadata['Batch Size'] == gpus * config.train_dataloader.batch_size
    if name.startswith('mask_jepa_'):
        assert [
            metadata['Parameters (M)'], metadata['FLOPs (G)'],
            metadata['Batch Size'] / gpus, metadata['Iterations']
        ] == table()[name]
        head = config.model.panoptic_head.type.split('.')[-1]
        assert head == f'{metadata["Architecture"][1]}Head'
        roots = config.train_dataloader.dataset.data_root
        roots = [roots] if isinstance(roots, str) else roots
        named = metadata['Training Data']
        named = [named] if isinstance(named, str) else named
        assert len(roots) == len(named)
        for folder, dataset in zip(roots, named):
            assert FOLDERS[dataset] in folder
        return
    dataset = config.train_dataloader.dataset
    dataset = dataset.get('dataset', dataset)
    assert metadata['Training Data'] == DATASETS.get(dataset.type, 'CamVid')
