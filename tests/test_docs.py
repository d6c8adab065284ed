"""What the READMEs name exists."""
import re

import pytest

from projects.mask_jepa.evaluation.health_check import check_health
from projects.mask_jepa.evaluation.health_rules import health_rules

PAGES_WITH_COMMANDS = [
    'README.md', 'projects/mask_jepa/README.md',
    'projects/mask_jepa/docs/healthy_runs.md'
]
PAGES = [*PAGES_WITH_COMMANDS, 'projects/mask_jepa/docs/new_architecture.md']


def pages(root):
    return {page: (root / page).read_text() for page in PAGES}


def headings(page):
    return {
        re.sub(r'[^a-z0-9 -]', '', line.lstrip('# ').lower()).replace(' ', '-')
        for line in page.read_text().splitlines() if line.startswith('#')
    }


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(root, page):
    links = re.findall(r'\]\(([^)]+)\)', (root / page).read_text())
    local = [link for link in links if '://' not in link]
    assert links
    for link in local:
        path, _, anchor = link.partition('#')
        linked = (root / page).parent / path if path else root / page
        assert linked.exists(), link
        assert not anchor or anchor in headings(linked), link


@pytest.mark.parametrize('page', PAGES_WITH_COMMANDS)
def test_commands_and_files_exist(root, page):
    text = (root / page).read_text()
    named = re.findall(r'(?:tools|configs|requirements)/[\w./-]*\w', text)
    assert len(named) > 3
    for name in named:
        assert (root / name).exists(), name


def test_config_keys_exist(base_config, root):
    keys = {
        key
        for text in pages(root).values()
        for key in re.findall(r'`((?:model|train_dataloader)(?:\.\w+)+)[`=]',
                              text)
    }
    assert len(keys) > 5
    for key in keys:
        value = base_config
        for part in key.split('.'):
            assert part in value, key
            value = value[part]


def test_page_on_health_names_every_rule_and_value(root, tiny_model, images):
    text = (root / 'projects/mask_jepa/docs/healthy_runs.md').read_text()
    values = check_health(tiny_model, images)
    for name in values:
        branch, _, rest = name.partition('_')
        generic = f'..._{rest}' if 'cosine' in name else name
        assert f'`{generic}`' in text, name
    for rule in health_rules(64, 50, values):
        row = next(line for line in text.splitlines()
                   if line.startswith(f'| {rule.name} | `'))
        assert f'`{rule.key}`' in row
        assert f'| {rule.verdict} |' in row
        assert ('below' if rule.relation == '<' else 'above') in row


def test_every_config_is_listed(root):
    text = (root / 'projects/mask_jepa/README.md').read_text()
    listed = re.findall(r'^\| (mask\S+) \|', text, re.MULTILINE)
    configs = root / 'configs'
    # Twins have the network of what they are twins of.
    assert sorted(listed) == sorted(
        path.stem for pattern in ('*.py', 'finetune/*/*-pre_*.py')
        for path in configs.glob(pattern))
