"""Pack what tools/gpu_check.sh needs on a machine that has torch, but neither
OpenMMLab nor a network.

Packages of Python alone are copied from this environment; the few compiled
ones are downloaded for the other machine's Python. Everything else (torch,
torchvision, numpy, scipy, OpenCV, Pillow, matplotlib, scikit-learn, rich,
pytest)
has to be there.
"""
import argparse
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'addict',
            'ftfy', 'mat4py', 'modelindex', 'ordered_set', 'platformdirs',
            'prettytable', 'termcolor', 'terminaltables', 'wcwidth', 'yapf',
            'yapf_third_party')
# By their metadata mmengine finds the configs of a package.
WITH_METADATA = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')
COMPILED = ('pycocotools', 'safetensors', 'shapely')
LEFT_OUT = ('__pycache__', '*.so', 'csrc', 'demo', 'tools', 'tests',
            'model_zoo', '*.md')
MAX_MEGABYTES = 60
NUM_IMAGES = 24

# mmcv's ops can be imported without its compiled part, and fail when used.
MMCV_EXTENSION = '''
def get_compiling_cuda_version():
    return 'not available'


def get_compiler_version():
    return 'not available'


def __getattr__(name):
    if name.startswith('__'):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        # No step uses them; mmdet imports all at its start.
        raise NotImplementedError(f'mmcv was packed without its op {name}.')

    return missing
'''
# mmpretrain fails to import beside a recent transformers.
SITE_CUSTOMIZE = '''import sys

sys.modules['transformers'] = None
'''


def copy_packages(folder: Path) -> None:
    """Copy what is of Python alone.

    Args:
        folder (Path): For PYTHONPATH.
    """
    for name in PACKAGES:
        place = Path(importlib.util.find_spec(name).origin)
        if place.name != '__init__.py':
            shutil.copy(place, folder)
            continue
        shutil.copytree(
            place.parent,
            folder / name,
            ignore=shutil.ignore_patterns(*LEFT_OUT))
    distributions = importlib.metadata.packages_distributions()
    for name in WITH_METADATA:
        # The forks of OpenMMLab call it otherwise.
        metadata = importlib.metadata.distribution(
            distributions[name][0])._path
        shutil.copytree(
            metadata,
            folder / metadata.name,
            ignore=shutil.ignore_patterns('RECORD', 'licenses'))
    # Of the configs, only those that this project inherits from.
    for name in ('mmseg', 'mmpretrain'):
        shutil.rmtree(folder / name / '.mim' / 'configs', ignore_errors=True)
    (folder / 'mmcv' / '_ext.py').write_text(MMCV_EXTENSION)
    (folder / 'sitecustomize.py').write_text(SITE_CUSTOMIZE)


def download_compiled(folder: Path, python: str) -> None:
    """Download the compiled packages for another version of Python.

    Args:
        folder (Path): For PYTHONPATH.
        python (str): The version, as in '3.12'.
    """
    platforms = ('manylinux_2_28_x86_64', 'manylinux_2_17_x86_64',
                 'manylinux2014_x86_64')
    subprocess.run([
        sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps',
        '--no-compile', '--only-binary=:all:', f'--python-version={python}',
        *(f'--platform={each}' for each in platforms), '--target',
        str(folder), *COMPILED
    ],
                   check=True)


def main() -> None:
    """Pack."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='made anew')
    folder = parser.parse_args().folder
    if folder.exists() and not (folder / 'packages').is_dir():
        parser.error(f'{folder} is there and holds something else: name '
                     'another folder.')
    shutil.rmtree(folder, ignore_errors=True)
    packages = folder / 'packages'
    packages.mkdir(parents=True)
    copy_packages(packages)
    download_compiled(
        packages, os.environ.get('PACK_PYTHON',
                                 '%d.%d' % sys.version_info[:2]))

    data = Path(os.environ.get('MASK_JEPA_DATA', ROOT.parent / 'shared/data'))
    images = sorted((data / 'nuclei' / 'train').glob('*.png'))[:NUM_IMAGES]
    target = folder / 'data' / 'nuclei' / 'train'
    target.mkdir(parents=True)
    for image in images:
        shutil.copy(image, target)

    size = sum(file.stat().st_size
               for file in folder.rglob('*') if file.is_file()) / 2**20
    print(f'{folder}: {len(list(packages.iterdir()))} packages, {len(images)} '
          f'images, {size:.0f} MiB.')
    if size > MAX_MEGABYTES:
        raise SystemExit(f'That is more than {MAX_MEGABYTES} MiB.')


if __name__ == '__main__':
    main()
