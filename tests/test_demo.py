"""The notebook, cell by cell, at a length that teaches nothing."""
import json
import shutil
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_notebook_runs_from_images_to_pictures(root, tmp_path):
    demo = tmp_path / 'a demo'
    shutil.copytree(root / 'demo', demo)
    notebook = json.loads((demo / 'mask_jepa.ipynb').read_text())
    cells = [''.join(cell['source']) for cell in notebook['cells']
             if cell['cell_type'] == 'code']
    source = '\n'.join(cells)
    assert source.count('= 100, 100 ') == 1
    (demo / 'cells.py').write_text(source.replace('= 100, 100 ', '= 2, 2 '))
    result = subprocess.run(
        [sys.executable, 'cells.py'], cwd=demo, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={'PATH': '/usr/bin:/bin', 'OMP_NUM_THREADS': '1',
             'MPLBACKEND': 'Agg', 'PYTHONPATH': str(root)})
    assert not result.returncode, result.stdout[-4000:]
    assert 'masks: [' in result.stdout and 'nuclei: [' in result.stdout
    assert (demo / 'work_dirs/pretraining/mask_jepa_mmdet.pth').exists()
    assert (demo / 'work_dirs/finetuning/iter_2.pth').exists()
