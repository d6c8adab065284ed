import shutil
import subprocess
import sys
from pathlib import Path
from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithMim(build_py):
    """Put the configs, their index and the tools where mim finds them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        destination = Path(self.build_lib) / 'mask_jepa' / '.mim'
        shutil.rmtree(destination, ignore_errors=True)
        for name in ('configs', 'tools'):
            shutil.copytree(
                ROOT / name,
                destination / name,
                ignore=shutil.ignore_patterns('__pycache__'))
        subprocess.run([
            sys.executable, ROOT / 'tools/misc/write_model_index.py',
            destination / 'model-index.yml'
        ],
                       check=True)


setup(cmdclass=dict(build_py=BuildWithMim))
