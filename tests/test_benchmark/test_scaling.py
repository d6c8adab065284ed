"""How costs grow."""
import pytest
import torch

from mask_jepa.benchmark import TrainingStep, measure_scaling
from mask_jepa.benchmark.scaling import growth


def test_growth_is_that_of_a_doubling():
    """Twelve times the cost at eight times the size: three doublings."""
    points = [dict(size=size, median_ms=cost, gflop=cost**2,
                   kept_for_backward_mb=1.0)
              for size, cost in ((2, 1.0), (3, 5.0), (16, 12.0))]
    assert growth(points) == dict(
        median_ms=pytest.approx(12**(1 / 3), abs=1e-3),
        gflop=pytest.approx(144**(1 / 3), abs=1e-3),
        kept_for_backward_mb=1.0)


@pytest.fixture
def scaling(tiny_config):

    def measure(axis):
        return measure_scaling(
            tiny_config(), 2, 64, 1, 0,
            lambda *arguments: TrainingStep(*arguments, torch.device('cpu')),
            [axis])[axis]

    return measure


@pytest.mark.parametrize('axis, sizes', [
    ('batch_size', [2, 4, 8]), ('image_area', [64**2, 96**2, 128**2])])
def test_twice_the_pixels_cost_at_most_2_1_times(scaling, axis, sizes):
    result = scaling(axis)
    assert [point['size'] for point in result['points']] == sizes
    assert 1.8 < result['growth']['gflop'] < 2.1
    assert 1.8 < result['growth']['kept_for_backward_mb'] < 2.1


@pytest.mark.parametrize('axis, sizes, most', [
    ('queries', [5, 10, 20], 1.3), ('prediction_grid', [4, 16, 64], 1.2)])
def test_finer_predictions_cost_little(scaling, axis, sizes, most):
    result = scaling(axis)
    assert [point['size'] for point in result['points']] == sizes
    assert 1 < result['growth']['gflop'] < most
