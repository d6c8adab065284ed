"""What the documents name exists, and their figures are those measured."""
import ast
import re
import textwrap
from pathlib import Path

import pytest
from mmengine.config import Config

from projects.mask_jepa.evaluation.health_check import check_health
from projects.mask_jepa.evaluation.health_record import health_rules

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    str(path.relative_to(ROOT))
    for pattern in ('*.md', 'docs/*.md', 'projects/mask_jepa/*.md')
    for path in sorted(ROOT.glob(pattern))
]
# It names what is no longer there.
CURRENT_PAGES = [page for page in PAGES if page != 'CHANGELOG.md']
# One config of each kind that pages speak of.
CONFIGS = ('mask_jepa_r50_coco.py', 'mask_jepa_r50_custom.py',
           'mask_jepa_r18_tiny.py',
           'mask_jepa_efficientnet-lite0_tiny_nuclei.py',
           'mask_jepa_efficientnet-lite0_tiny_camvid.py',
           'finetune/mmseg/mask2former_r50-mask-jepa-pre_8xb2-160k_ade20k-'
           '512x512_1-16.py')
SECTIONS = ('model|train_dataloader|val_dataloader|test_dataloader|'
            'optim_wrapper|param_scheduler|train_cfg|val_cfg|default_hooks|'
            'visualizer|auto_scale_lr|randomness')
# Keys that a command adds to a dict of the config.
ADDED_KEYS = {
    'model.backbone.init_cfg._delete_', 'model.backbone.norm_cfg.num_groups',
    'model.backbone.init_cfg.prefix', 'model.query_sigma',
    'model.channels_last', 'model.backbone.with_cp',
    'model.backbone.init_cfg.file',
    'optim_wrapper.paramwise_cfg.layer_decay_rate',
    'train_dataloader.dataset.pipeline.0.max_pixels',
    'train_dataloader.dataset.value_range',
    'train_dataloader.dataset.color_type',
    'train_dataloader.dataset.exclude',
    'train_dataloader.sampler.source_weights'
}


def headings(page):
    return {
        re.sub(r'[^a-z0-9 -]', '',
               line.lstrip('# ').lower()).replace(' ', '-')
        for line in page.read_text().splitlines() if line.startswith('#')
    }


def blocks(text, language):
    return re.findall(rf'^```{language}\n(.*?)^```', text,
                      re.MULTILINE | re.DOTALL)


def commands(text):
    """The lines of a page's shell blocks, joined and without comments."""
    for block in blocks(text, 'shell'):
        for line in block.replace('\\\n', ' ').splitlines():
            yield re.sub(r'(^|\s)#.*', '', line)


def holds(config, key):
    """Whether a config has a key, which may have the value None."""
    for part in key.split('.'):
        if isinstance(config, (list, tuple)) and part.isdigit():
            part = int(part)
            if part >= len(config):
                return False
        elif not (isinstance(config, dict) and part in config):
            return False
        config = config[part]
    return True


@pytest.fixture(scope='module')
def configs(root):
    return [
        Config.fromfile(root / 'configs' / name).to_dict() for name in CONFIGS
    ]


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(root, page):
    links = re.findall(r'\]\(([^)]+)\)', (root / page).read_text())
    local = [link for link in links if '://' not in link]
    for link in local:
        path, _, anchor = link.partition('#')
        linked = (root / page).parent / path if path else root / page
        assert linked.exists(), link
        assert not anchor or anchor in headings(linked), link


def test_every_document_is_linked_from_the_readme(root):
    linked = re.findall(r'\]\(([^)#]+)', (root / 'README.md').read_text())
    assert {page for page in PAGES if page.startswith('docs/')} <= set(linked)


@pytest.mark.parametrize('page', CURRENT_PAGES)
def test_files_exist(root, page):
    text = (root / page).read_text()
    for name in re.findall(
            r'(?<![\w-])(?:tools|configs|requirements|docs|projects|tests)'
            r'/[\w./-]*\w', text):
        assert (root / name).exists(), name
    for name in re.findall(r'(?<![\w/])(mask_jepa_[\w-]+\.py)', text):
        assert (root / 'configs' / name).exists(), name


@pytest.mark.parametrize('page', CURRENT_PAGES)
def test_tools_have_the_options_of_the_commands(root, page):
    for command in commands((root / page).read_text()):
        tool = re.search(r'tools/[\w/]+\.(?:py|sh)', command)
        options = set(re.findall(r'\s(--[a-z][\w-]*)', command))
        if tool and options:
            # It hands on what it does not know.
            names = {tool[0], tool[0].replace('dist_train.sh', 'train.py')}
            script = ''.join((root / name).read_text() for name in names)
            for option in options:
                assert re.search(rf'{option}(?![\w-])', script), command


@pytest.mark.parametrize('page', ['README.md', 'docs/results.md'])
def test_pages_hold_commands(root, page):
    assert sum('tools/' in command
               for command in commands((root / page).read_text())) > 2


@pytest.mark.parametrize('page', CURRENT_PAGES)
def test_config_keys_exist(configs, root, page):
    # What repeats an experiment of an older commit has the keys of that.
    text = re.sub(r'^```shell\ngit worktree.*?^```', '',
                  (root / page).read_text(), 0, re.MULTILINE | re.DOTALL)
    keys = set(
        re.findall(rf'(?<![\w./])((?:{SECTIONS})(?:\.\w+)+)(?=[`=])', text))
    for key in keys - ADDED_KEYS:
        assert any(holds(config, key) for config in configs), key


def test_page_on_settings_names_keys_and_hooks(configs, root):
    text = (root / 'docs/operations.md').read_text()
    assert len(re.findall(r'`(?:model|train_dataloader)\.[\w.]+', text)) > 5
    # Beside those that every Runner has.
    named = dict(re.findall(r'^\| `(\w+)` \| `(\w+Hook)` \|', text, re.M))
    ours = {
        name: hook['type']
        for name, hook in configs[0]['default_hooks'].items()
        if name not in ('timer', 'logger', 'param_scheduler', 'sampler_seed')
    }
    assert named == ours


@pytest.mark.parametrize('page', PAGES)
def test_python_is_python(root, page):
    for block in blocks((root / page).read_text(), 'python'):
        ast.parse(textwrap.dedent(block))


def test_readme_fits_a_few_screens(root):
    text = (root / 'README.md').read_text()
    assert len(text.splitlines()) <= 150
    for command in ('bash tools/quickstart.sh', 'bash tools/run_tests.sh'):
        assert any(line.startswith(command) for line in commands(text))


@pytest.mark.parametrize('page', ['README.md', 'docs/results.md'])
def test_gains_are_those_of_the_table(root, page):
    table = (root / 'docs/experiments/camvid_labels/table.md').read_text()
    sections = dict(
        re.findall(r'\*\*CamVid, (\d+) labelled images\*\*\n(.*?)(?=\*\*|\Z)',
                   table, re.DOTALL))
    rows = re.findall(
        r'^\| (\d+)[^|]*\| (\d) \| ([^|]+) \| \*\*([^*]+)\*\* \| ([^|]+) \|',
        (root / page).read_text(), re.MULTILINE)
    assert {row[0] for row in rows} == set(sections)
    for images, seeds, before, after, gain in rows:
        arms = dict(
            re.findall(r'^\| ([^|]+) \| ([^|]+ \| \d+) \|', sections[images],
                       re.MULTILINE))
        assert arms['no pretraining'] == f'{before} | {seeds}'
        assert arms['Mask-JEPA'] == f'{after} | {seeds}'
        assert f'| {after} | {seeds} | {gain}, better in' in sections[images]


def test_page_on_health_names_every_rule_and_value(root, tiny_model, images):
    text = (root / 'docs/healthy_runs.md').read_text()
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
    text = (root / 'docs/configs.md').read_text()
    listed = re.findall(r'^\| (mask\S+) \|', text, re.MULTILINE)
    # Those that start from elsewhere have the network of these.
    assert sorted(listed) == sorted(
        path.stem for pattern in ('*.py', 'finetune/*/*-pre_*.py')
        for path in (root / 'configs').glob(pattern))
