"""The check of a GPU, as far as a machine without one can tell."""
import ast
import json
import re
import sys

import pytest
from warm_python import run_script

# What the packages that have to be there are imported as.
IMPORTED_AS = {'OpenCV': 'cv2', 'Pillow': 'PIL', 'scikit-learn': 'sklearn'}


@pytest.mark.parametrize('stage', ['environment', 'operator'])
def test_stages_run_on_a_cpu(tmp_path, stage):
    run_script('tools/gpu_check.py', stage, tmp_path, CUDA_VISIBLE_DEVICES='')
    result = json.loads((tmp_path / f'{stage}.json').read_text())
    assert 'error' not in result and result['seconds'] > 0


def imports_of(file):
    """Name the packages that a file imports when it is imported."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (each.name.split('.')[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split('.')[0]


def test_what_is_imported_is_packed_or_named(root, monkeypatch):
    monkeypatch.syspath_prepend(root / 'tools' / 'misc')
    import pack_gpu_check
    text = (root / 'docs' / 'gpu' / 'README.md').read_text()
    there, = re.findall(r'^needs (torch, .*?)\.', text, re.DOTALL | re.M)
    there = re.split(r',\s+|\s+and\s+', there)
    known = {
        *sys.stdlib_module_names, 'mask_jepa', 'jinja2', 'triton',  # of torch
        *pack_gpu_check.PACKAGES, *pack_gpu_check.COMPILED,
        *(IMPORTED_AS.get(name, name) for name in there)
    }
    package = root / 'projects' / 'mask_jepa'
    files = [
        file for file in package.rglob('*.py')
        # Only some configs, and only one tool, import these.
        if file.name != 'timm_backbone.py' and file.parent.name != 'report'
    ]
    assert len(files) > 100
    imported = {name for file in files for name in imports_of(file)}
    assert {'mmengine', 'torch', 'safetensors'} <= imported <= known
