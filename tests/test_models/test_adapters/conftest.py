"""Heads of every family, and maps to feed them with."""
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from small_heads import FAMILIES, IN_CHANNELS, head_config

SIZES = (16, 8, 4, 2)  # at strides 4 to 32 of 64 pixels


@pytest.fixture
def make_head(tiny_config):
    """Build a head of ``FAMILIES``, in eval mode."""

    def make(family):
        from mmseg.utils import register_all_modules
        register_all_modules(init_default_scope=False)
        head = MODELS.build(
            head_config(family,
                        tiny_config().model.panoptic_head))
        head.init_weights()
        return head.eval()

    return make


@pytest.fixture(params=FAMILIES)
def head(request, make_head):
    """Every head in turn."""
    return make_head(request.param)


@pytest.fixture
def features():
    """Backbone maps of two 64-pixel images, fine to coarse."""
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(2, channel, size, size, generator=generator)
        for channel, size in zip(IN_CHANNELS, SIZES)
    ]


@pytest.fixture
def samples():
    """What the stock heads want to know of two images."""
    return [
        DetDataSample(
            metainfo=dict(batch_input_shape=(64, 64), img_shape=(64, 64)))
        for _ in range(2)
    ]
