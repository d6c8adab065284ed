"""What makes a step cheaper leaves the losses of fifty steps as they were."""
import pytest
import torch
from mmdet.models.dense_heads import mask2former_head
from mmdet.registry import MODELS
from mmengine.optim import build_optim_wrapper

from mask_jepa.models import DeformablePixelDecoder

pytestmark = pytest.mark.slow

STEPS = 50
LEARNING_RATE = 2e-4
GRID = 8  # places of the labels in each direction
PLAIN = {
    'model.prototypes.stock_losses': True,
    'optim_wrapper.constructor': 'DefaultOptimWrapperConstructor',
    'optim_wrapper.optimizer.fused': False,
}
CHEAPER = {
    'dense mask losses': ({'model.prototypes.stock_losses': False}, False),
    'deformable attention': ({}, True),
    'optimiser': ({
        'optim_wrapper.constructor': 'GroupedOptimWrapperConstructor',
        'optim_wrapper.optimizer.fused': True
    }, False),
}
CHEAPER['all'] = ({
    key: value
    for options, _ in CHEAPER.values() for key, value in options.items()
}, True)


def draw_every_place(patch):
    """Let mmdet compare masks at the middle of each place of the grid."""
    middles = (torch.arange(GRID) + 0.5) / GRID
    points = torch.cartesian_prod(middles, middles).flip(-1)
    patch.setattr(mask2former_head,
                  'get_uncertain_point_coords_with_randomness',
                  lambda masks, *_: points.expand(len(masks), -1, -1))
    draw = torch.rand
    patch.setattr(
        torch, 'rand', lambda *shape, **options: points[None]
        if shape == ((1, GRID**2, 2), ) else draw(*shape, **options))


@pytest.fixture
def train(tiny_config, monkeypatch):
    """Train from the same weights on the same images; return the losses."""

    def run(options=None, own_decoder=False):
        with monkeypatch.context() as patch:
            draw_every_place(patch)
            if not own_decoder:
                patch.setattr(DeformablePixelDecoder, 'adopt',
                              lambda decoder: None)
            config = tiny_config({
                **PLAIN, 'optim_wrapper.optimizer.lr': LEARNING_RATE,
                'model.panoptic_head.train_cfg.num_points': GRID**2,
                **(options or {})
            })
            torch.manual_seed(0)
            model = MODELS.build(config.model)
            model.init_weights()
            optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
            generator = torch.Generator().manual_seed(1)
            images = torch.randn(4, 2, 3, 64, 64, generator=generator)
            losses = []
            for step in range(STEPS):
                loss, _ = model.parse_losses(
                    model(images[step % len(images)], mode='loss'))
                optim_wrapper.update_params(loss)
                model.update_target(0.99)
                losses.append(loss.item())
        return losses

    return run


def test_losses_are_those_of_the_plain_path(train):
    """But for rounding, which in some step, on some processors, turns over a
    matching or a place that blocks attention."""
    plain = train()
    assert plain[-1] < 0.95 * plain[0]
    for name, (options, own_decoder) in CHEAPER.items():
        found = train(options, own_decoder)
        assert found[:5] == pytest.approx(plain[:5], rel=1e-5), name
        assert found == pytest.approx(plain, rel=0.01), name
