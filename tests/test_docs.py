"""What the READMEs name exists."""
import re

import pytest

PAGES = ['README.md', 'projects/mask_jepa/README.md']


def pages(root):
    return {page: (root / page).read_text() for page in PAGES}


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(root, page):
    text = (root / page).read_text()
    links = re.findall(r'\]\(([^)]+)\)', text)
    local = [link for link in links if '://' not in link]
    assert links
    headings = {
        re.sub(r'[^a-z0-9 -]', '', line.lstrip('# ').lower()).replace(' ', '-')
        for line in text.splitlines() if line.startswith('#')
    }
    for link in local:
        path, _, anchor = link.partition('#')
        assert not path or ((root / page).parent / path).exists(), link
        assert not anchor or anchor in headings, link


@pytest.mark.parametrize('page', PAGES)
def test_commands_and_files_exist(root, page):
    text = (root / page).read_text()
    named = re.findall(r'(?:tools|configs|requirements)/[\w./-]*\w', text)
    assert len(named) > 5
    for name in named:
        assert (root / name).exists(), name


def test_config_keys_of_the_readme_exist(base_config, root):
    keys = re.findall(r'`((?:model|train_dataloader)(?:\.\w+)+)`',
                      (root / 'README.md').read_text())
    assert len(keys) > 3
    for key in keys:
        value = base_config
        for part in key.split('.'):
            assert part in value, key
            value = value[part]


def test_metafile_names_existing_configs(root):
    import yaml
    metafile = yaml.safe_load(
        (root / 'projects/mask_jepa/metafile.yml').read_text())
    for model in metafile['Models']:
        assert (root / model['Config']).exists()
        for name in model['Downstream']:
            assert list((root / 'configs/finetune').glob(f'*/{name}.py')), name
