"""Tests of what a GPU does; elsewhere they are skipped, unless
MASK_JEPA_GPU_TESTS_ON_CPU=1 tries all but the card."""
import os

import pytest
import torch


@pytest.fixture
def device():
    """The GPU."""
    if torch.cuda.is_available():
        return torch.device('cuda', 0)
    if not os.environ.get('MASK_JEPA_GPU_TESTS_ON_CPU'):
        # What only a card can show; tools/gpu_check.sh sets the variable.
        pytest.skip('there is no GPU')
    return torch.device('cpu')
