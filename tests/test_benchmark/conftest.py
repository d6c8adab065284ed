"""Steps of a very small network."""
import pytest
import torch

from mask_jepa.benchmark import TrainingStep, make_arm


@pytest.fixture
def make_step(tiny_config):
    """Make a step of an arm: two images of 64 pixels."""

    def make(arm, options=None, **keywords):
        config, batch = make_arm(arm, tiny_config(options), 2, 64)
        return TrainingStep(config, batch, torch.device('cpu'), **keywords)

    return make
