import shutil
from pathlib import Path
from setuptools import setup
from setuptools.command.build_py import build_py

# What `mim` looks for beside the modules of an installed package.
FOR_MIM = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Put the configs and the tools into the wheel, where mim finds them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        root = Path(__file__).parent
        destination = Path(self.build_lib) / 'projects' / '.mim'
        shutil.rmtree(destination, ignore_errors=True)
        destination.mkdir(parents=True)
        for name in FOR_MIM:
            if (root / name).is_dir():
                shutil.copytree(
                    root / name,
                    destination / name,
                    ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(root / name, destination / name)


setup(cmdclass=dict(build_py=BuildWithMim))
