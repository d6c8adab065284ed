"""What of the target is predicted: F_last, or several levels side by side."""
from math import isfinite

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from mask_jepa.evaluation.health_check import check_health
from mask_jepa.visualization import draw_pretraining

GRID = (8, 8)
STAGES = {'target_levels': ['c2', 'c4'], 'centering': None}


def fail(*_):
    raise AssertionError('The pixel decoder of the target ran.')


def encode_target(target, images):
    """Mask features and memory."""
    return target.adapter.encode(target.backbone(images))


def test_f_last_is_the_target_where_nothing_is_said(tiny_model, images):
    target = tiny_model.target
    assert torch.equal(
        target(images, GRID), encode_target(target, images)[0])


def test_levels_lie_side_by_side_on_the_grid(make_model, images):
    target = make_model(STAGES).target
    found = target(images, GRID)
    stages = target.backbone(images)
    normed = []
    for stage in (stages[1], stages[3]):
        mean = stage.mean(1, keepdim=True)
        variance = stage.var(1, unbiased=False, keepdim=True)
        normed.append((stage - mean) / (variance + 1e-5).sqrt())
    enlarged = F.interpolate(
        normed[1], scale_factor=4, mode='bilinear', align_corners=False)
    torch.testing.assert_close(found, torch.cat([normed[0], enlarged], 1))


def test_stages_of_the_backbone_need_no_pixel_decoder(make_model, images):
    model = make_model(STAGES)
    model.target.pixel_decoder.register_forward_pre_hook(fail)
    model.target(images, GRID)
    with pytest.raises(AssertionError, match='ran'):
        encode_target(model.target, images)


def test_levels_of_both_kinds(make_model, images):
    target = make_model({'target_levels': ['c2', 'F_1', 'F_last']}).target
    stages = target.backbone(images)
    mask_features, memory = encode_target(target, images)
    joined = target(images, GRID)
    assert joined.shape[-2:] == GRID
    channels = [level.shape[1] for level in
                (stages[1], memory[0], mask_features)]
    assert joined.shape[1] == sum(channels)
    torch.testing.assert_close(
        joined[:, -channels[2]:],
        F.avg_pool2d(F.layer_norm(mask_features.movedim(1, -1),
                                  channels[2:]).movedim(-1, 1), 2))


def test_levels_are_predicted_and_clustered(make_model, images):
    model = make_model(STAGES).train()
    step = model.predict_target(images)
    features = model.target(images, step.prediction.shape[-2:])
    assert step.prediction.shape == step.target_on_grid.shape
    assert torch.equal(step.target_on_grid, features)
    losses = model(images, mode='loss')
    assert model.prototypes.centers.shape[1] == features.shape[1]
    assert model.prototypes.centers.abs().sum() > 0
    sum(losses.values()).backward()
    gradient = model.query_to_map.prediction[1].weight.grad
    assert gradient.shape[0] == features.shape[1] and gradient.abs().sum() > 0


def test_a_level_coarser_than_the_grid_is_interpolated(make_model, images):
    model = make_model({'target_levels': ['c4'], 'centering': None})
    step = model.predict_target(images)
    stage = model.target.backbone(images)[3]
    grid = step.prediction.shape[-2:]
    assert stage.shape[-1] < grid[1]
    torch.testing.assert_close(
        step.target_on_grid,
        F.interpolate(stage, grid, mode='bilinear', align_corners=False))


@pytest.mark.parametrize('levels', [['c9'], ['f_last'], [], 'F_last'])
def test_a_wrong_level_is_named(make_model, levels):
    with pytest.raises(ValueError, match=r'target_levels=.*c1, c2, c3, c4'):
        make_model({'target_levels': levels})


def test_coarse_levels_are_drawn_and_checked(make_model):
    model = make_model({'target_levels': ['c3', 'c4'], 'centering': None})
    pixels = [torch.randint(256, (3, 64, 64)).float() for _ in range(2)]
    samples = model.eval().test_step(dict(
        inputs=pixels, data_samples=[DetDataSample() for _ in pixels]))
    target, online = samples[0].target_features, samples[0].mask_features
    assert target.shape[-1] < online.shape[-1]
    assert isfinite(check_health(model, torch.stack(pixels))['target_rank'])
    _, clusters = draw_pretraining(
        samples, model.data_preprocessor.mean, model.data_preprocessor.std)
    assert clusters.shape[1:] == target.shape[1:]
