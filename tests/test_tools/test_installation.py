"""What is installed: versions, and what mim finds in the wheel."""
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import mmcv
import pytest
import torch
from packaging.markers import default_environment
from packaging.requirements import Requirement
from scenes_and_globals import draw_scene

# OpenMMLab's package manager finds and runs what the wheel holds.


PRETRAINING = 'mask_jepa_r18_tiny.py'
FINETUNING = 'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py'


@pytest.fixture(scope='module')
def installed(tmp_path_factory, root):
    """The package as pip lays it out, from the source distribution."""
    source = tmp_path_factory.mktemp('source') / 'clone'
    # A build writes into the folder that it builds.
    shutil.copytree(
        root, source, ignore=shutil.ignore_patterns('.*', 'work_dirs', 'data'))
    subprocess.run([sys.executable, 'setup.py', '--quiet', 'sdist'],
                   check=True,
                   cwd=source)
    distribution, = source.glob('dist/*.tar.gz')
    site = tmp_path_factory.mktemp('site')
    subprocess.run([
        sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps',
        '--no-build-isolation', '--disable-pip-version-check', '--target',
        site, distribution
    ],
                   check=True)
    return site


@pytest.fixture(scope='module')
def mim(installed, tmp_path_factory):
    """Run mim far from the clone; return its output."""
    if metadata.packages_distributions()['mim'] == ['onedl-mim']:
        # docs/operations.md, on that stack, says what mim does then.
        pytest.skip('onedl-mim 0.5.1 takes the metadata for the package')
    folder = tmp_path_factory.mktemp('elsewhere')

    def run(*arguments):
        result = subprocess.run(
            [sys.executable, '-m', 'mim', *map(str, arguments)],
            cwd=folder,
            env={
                **os.environ,
                'OMP_NUM_THREADS': '1',
                'PYTHONPATH': str(installed),
                'MASK_JEPA_DATA': str(folder / 'scenes'),
                # Of stock mmseg's own checkpoints, which are not plain.
                'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1'
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True)
        assert not result.returncode, result.stdout[-4000:]
        return result.stdout

    run.folder = folder
    return run


def test_search_finds_every_config_where_it_lies(mim, installed, root):
    mim('search', 'mask-jepa', '--json', 'found.json')
    columns = json.loads((mim.folder / 'found.json').read_text())
    configs = columns['config']
    assert set(configs) == {
        path.stem
        for pattern in ('*.py', 'finetune/*/*.py')
        for path in (root / 'configs').glob(pattern)
    }
    for name, config in configs.items():
        assert Path(config).stem == name
        in_the_wheel = installed / 'mask_jepa/.mim' / config
        assert in_the_wheel.read_text() == (root / config).read_text()


def test_search_selects_by_size(mim):
    mim('search', 'mask-jepa', '--dataset', 'camvid,coco', '--condition',
        'batch_size<=8', '--field', 'parameters', '--json', 'small.json')
    parameters, = json.loads((mim.folder / 'small.json').read_text()).values()
    assert set(parameters) == {'mask_jepa_r18_tiny'}
    assert 1 < parameters['mask_jepa_r18_tiny'] < 10


@pytest.mark.slow
def test_pretrains_hands_over_and_finetunes(mim, installed, root):
    subprocess.run([
        sys.executable, root / 'tools/misc/generate_scenes.py',
        mim.folder / 'scenes', '--num-train', '4', '--num-val', '2'
    ],
                   check=True)
    short = [
        '--gpus', 0, '--cfg-options', 'train_cfg.max_iters=1',
        'default_hooks.checkpoint.interval=1'
    ]
    mim('train', 'mask-jepa', PRETRAINING, '--work-dir', 'pretrained',
        '--no-validate', *short, 'train_dataloader.batch_size=2')
    output = mim('test', 'mask-jepa', PRETRAINING, '--checkpoint',
                 'pretrained/iter_1.pth', '--gpus', 0)
    assert 'pretrain/prediction_error' in output

    config = next(installed.rglob(FINETUNING))
    mim('train', 'mmsegmentation', config, '--work-dir', 'finetuned', *short,
        'model.init_cfg.checkpoint=pretrained/mask_jepa_mmseg.pth')
    output = mim('test', 'mmsegmentation', config, '--checkpoint',
                 'finetuned/iter_1.pth', '--gpus', 0)
    assert 'mIoU' in output


# From Python, as a new user would.


SCRIPT = """
import sys
import mask_jepa
checkpoint = mask_jepa.pretrain(
    'r18_tiny', data='my images', out='my run',
    train_cfg=dict(max_iters=2), default_hooks=dict(
        checkpoint=dict(interval=1), health=None),
    train_dataloader=dict(batch_size=2))
encoded = list(mask_jepa.encode(checkpoint, 'my images', image_size=64))
print('encoded', len(encoded), encoded[0].mask_features.shape,
      encoded[0].masks.shape[1:])
print('exported', mask_jepa.export(checkpoint, 'mmseg', out='weights.pth'))
assert 'projects' not in sys.modules
"""


@pytest.mark.slow
def test_pretrains_encodes_and_exports_from_python(installed, tmp_path):
    assert sorted(path.name for path in installed.iterdir()
                  if not path.name.endswith('.dist-info')) == ['mask_jepa']
    (tmp_path / 'my images').mkdir()
    for index in range(4):
        draw_scene(index).save(tmp_path / f'my images/{index}.png')
    result = subprocess.run(
        [sys.executable, '-c', SCRIPT], cwd=tmp_path, text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1',
             'PYTHONPATH': str(installed)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert not result.returncode, result.stdout[-4000:]
    assert 'encoded 4 (64, 16, 16) (80, 96)' in result.stdout
    assert 'exported weights.pth' in result.stdout
    assert {'iter_2.pth', 'mask_jepa_mmdet.pth', 'mask_jepa_mmseg.pth'
            } <= {path.name for path in (tmp_path / 'my run').iterdir()}
    weights = torch.load(tmp_path / 'weights.pth', weights_only=True)
    assert any(key.startswith('decode_head.') for key in weights['state_dict'])


@pytest.mark.parametrize('first, second', [
    ('mask_jepa', 'projects.mask_jepa'),
    ('projects.mask_jepa', 'mask_jepa'),
])
def test_both_names_of_a_clone_are_one_package(root, first, second):
    # It would not be registered a second time.
    subprocess.run([
        sys.executable, '-c',
        'import sys; from importlib import import_module\n'
        f'for name in {first!r}, {second!r}:\n'
        '    import_module(name)\n'
        '    import_module(f"{name}.models.timm_backbone")\n'
        'former = [name for name in sys.modules\n'
        '          if name.startswith("projects.mask_jepa")]\n'
        'assert len(former) > 2\n'
        'for name in former:\n'
        '    assert sys.modules[name] is sys.modules[name.partition(".")[2]]\n'
    ], check=True, cwd=root)


# What the set-up compiles.


def test_each_file_of_mmcv_is_compiled_once(root, tmp_path):
    folder = Path(mmcv.__file__).parent / 'ops/csrc/pytorch'
    sources = sorted([*folder.glob('*.cpp'), *folder.glob('cpu/*.cpp')])
    distribution, = metadata.packages_distributions()['mmcv']
    assert len(sources) == {'mmcv': 77, 'onedl-mmcv': 78}[distribution]
    compiler = tmp_path / 'compiler'
    compiler.write_text('#!/bin/sh\necho "arguments: $*"\ncat\n')
    compiler.chmod(0o755)

    def compile(*arguments):
        return subprocess.run(
            ['bash', root / 'tools/misc/mmcv_compiler.sh', *arguments],
            env={**os.environ, 'MMCV_CXX': str(compiler)},
            stdin=subprocess.DEVNULL,
            check=True,
            capture_output=True,
            text=True).stdout

    units = [compile('-O1', '-c', source, '-o', 'x.o') for source in sources]
    lines = [line for unit in units for line in unit.splitlines()]
    included = [line for line in lines if line.startswith('#include')]
    assert sorted(included) == [f'#include "{source}"' for source in sources]
    assert set(lines) - set(included) == {'arguments: -O1 -c -x c++ - -o x.o'}
    # What is none of these, linking among it, goes to the compiler unchanged.
    for arguments in (['-c', str(folder / 'cuda/cudabind.cpp')],
                      ['x.o', '-o', 'x.so']):
        assert compile(*arguments) == f'arguments: {" ".join(arguments)}\n'


# Versions that the set-up installs.


def read(path):
    text = re.sub(r'#.*|\\\n *--hash=sha256:[0-9a-f]{64}', '',
                  path.read_text())
    return [Requirement(line) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize('name',
                         ['lock.txt', 'lock-onedl.txt', 'frameworks.txt'])
def test_set_up_knows_the_digests_of_all_files(root, name):
    text = (root / 'requirements' / name).read_text()
    pins = re.findall(r'^[^# \n]+==.*(?:\n .*)*', text, re.MULTILINE)
    assert len(pins) == len(read(root / 'requirements' / name))
    for pin in pins:
        assert ' --hash=sha256:' in pin, pin


LOCKS = {'openmmlab': 'lock.txt', 'onedl': 'lock-onedl.txt'}


@pytest.mark.parametrize('stack', LOCKS)
@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12'])
def test_set_up_installs_supported_versions(root, stack, python):
    environment = dict(
        default_environment(),
        python_version=python,
        python_full_version=f'{python}.1')
    pins = {
        pin.name: str(pin.specifier).removeprefix('==')
        for pin in read(root / 'requirements' / LOCKS[stack])
        if not pin.marker or pin.marker.evaluate(environment)
    }
    ranges = [
        *read(root / 'requirements.txt'),
        *read(root / 'requirements' / f'{stack}.txt')
    ]
    for range in ranges:
        # torch is the user's choice.
        if range.name not in ('torch', 'torchvision'):
            assert pins[range.name] in range.specifier, range


def test_set_up_offers_supported_torch(root):
    script = (root / 'tools' / 'setup_env.sh').read_text()
    ranges = {range.name: range.specifier
              for range in read(root / 'requirements.txt')}
    torches = re.findall(r'^NEWEST_TORCH=(.*)|^ +([\d.]+)\) TORCHV', script,
                         re.MULTILINE)
    for version in torches:
        assert ''.join(version) in ranges['torch']
    versions = re.findall(r'TORCHVISION=([\d.]+)', script)
    assert len(versions) == 2
    assert all(version in ranges['torchvision'] for version in versions)


@pytest.mark.parametrize('stack', LOCKS)
def test_an_extra_brings_one_stack_and_the_package_itself_none(
        root, installed, stack):
    asked, = metadata.distributions(
        name='mask-jepa', path=[str(installed)])
    asked = [Requirement(line) for line in asked.requires]
    extra = {
        range.name for range in asked
        if range.marker and range.marker.evaluate({'extra': stack})
    }
    assert extra == {
        range.name for range in read(root / f'requirements/{stack}.txt')
    }
    # No bound of a stack may hold for the other one.
    assert {range.name for range in asked if not range.marker} == {
        range.name for range in read(root / 'requirements.txt')
    }
    assert not any('mm' in range.name for range in asked if not range.marker)
    of_stacks = [name.startswith('onedl-') for name in extra if 'mm' in name]
    assert of_stacks == 5 * [stack == 'onedl']


# Where a stack is missing, or there are two.


WITHOUT_A_STACK = """
import sys
class Nowhere:
    def find_spec(name, path=None, target=None):
        if name in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Nowhere)
import mask_jepa
"""


def test_import_without_a_stack_says_what_to_install(root):
    result = subprocess.run([sys.executable, '-c', WITHOUT_A_STACK],
                            cwd=root,
                            capture_output=True,
                            text=True)
    assert re.fullmatch(
        r'ImportError: Mask-JEPA needs OpenMMLab, of which mm\w+ is not '
        r"installed: pip install 'mask-jepa\[openmmlab\]', or "
        r"'mask-jepa\[onedl\]' for its maintained forks with numpy 2\.",
        result.stderr.splitlines()[-1])
    assert 'ModuleNotFoundError' not in result.stderr


@pytest.mark.parametrize('packages, sentence', [
    ([], 'Neither OpenMMLab nor its forks'),
    (['mmcv', 'mmdet', 'onedl-mmengine'],
     'OpenMMLab and its forks are mixed and write over each other\'s files '
     '(mmcv, mmdet, onedl-mmengine)'),
])
def test_check_of_the_environment_wants_one_stack(
        root, monkeypatch, packages, sentence):
    monkeypatch.syspath_prepend(root / 'tools')
    import check_env
    monkeypatch.setattr(check_env, 'find_version',
                        lambda name: '1' if name in packages else 'missing')
    with pytest.raises(SystemExit, match=re.escape(sentence)):
        check_env.check_environment()


def test_set_up_leaves_a_folder_of_other_files_alone(root, tmp_path):
    """Also one of a project, whose setup.py is none of its marks."""
    for name in ('setup.py', 'setup.cfg', 'notes.md'):
        (tmp_path / name).write_text('mine')
    result = subprocess.run(['bash', root / 'tools' / 'setup_env.sh'],
                            env={**os.environ,
                                 'MASK_JEPA_VENV': str(tmp_path)},
                            capture_output=True,
                            text=True)
    assert result.returncode == 1
    assert f'{tmp_path} holds other files: name an empty place' in (
        result.stderr)
    assert sorted(os.listdir(tmp_path)) == [
        'notes.md', 'setup.cfg', 'setup.py']
