"""Pretrained networks with random weights, and other frameworks."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mask_jepa.weights import export_weights

# In a folder of their own: mmpretrain does not bear a recent transformers.
PACKAGES = Path(
    os.environ.get('MASK_JEPA_FRAMEWORKS',
                   Path(sys.prefix) / 'frameworks'))


def randomise(model):
    """Weights and statistics that no initialisation would give."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.dtype != torch.float32 or 'relative_position' in name:
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith('running_var'):
                value.copy_(1 + 0.2 * noise.abs())
            else:
                value.add_(0.02 * noise)


@pytest.fixture
def build(root):
    """A config's model, the pretraining, and what it hands over."""

    def make(name, options=None):
        config = Config.fromfile(str(root / 'configs' / f'{name}.py'))
        config.merge_from_dict(options or {})
        config.model.backbone.init_cfg = None
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        model.init_weights()
        randomise(model)
        # The learned queries have been trained.
        model.random_queries.lowest_sigma.zero_()
        weights = export_weights(model.state_dict(), 'mmdet').state_dict
        return config.model, model.eval(), weights

    return make


@pytest.fixture
def run_apart(tmp_path):
    """Call a function of other_frameworks.py with the other frameworks, and
    without the mm libraries.
    """

    def run(function, content):
        torch.save(content, tmp_path / 'in.pt')
        result = subprocess.run(
            [sys.executable, Path(__file__).with_name('other_frameworks.py'),
             function, tmp_path / 'in.pt', tmp_path / 'out.pt'],
            env={**os.environ, 'PYTHONPATH': str(PACKAGES),
                 'HF_HUB_OFFLINE': '1'},
            capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[-3000:]
        return torch.load(tmp_path / 'out.pt')

    return run
