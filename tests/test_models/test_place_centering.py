"""The running mean of each place, against numpy."""
import numpy as np
import pytest
import torch

from mask_jepa.models import PlaceCentering

CHANNELS, SIZE = 6, 4


def draw(seed, size=SIZE):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, CHANNELS, size, size, generator=generator) * 2 + 1


def normalize(target):
    """Layer norm over the channels, with numpy."""
    target = target.double().numpy()
    mean = target.mean(1, keepdims=True)
    std = np.sqrt(target.var(1, keepdims=True) + 1e-5)
    return (target - mean) / std


def close(actual, expected):
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-5)


def test_mean_of_all_steps_first_then_a_moving_one():
    module = PlaceCentering(CHANNELS, SIZE, momentum=0.5)
    means = [normalize(draw(seed)).mean(0) for seed in range(3)]
    close(module(draw(0)), normalize(draw(0)) - means[0])
    close(module(draw(1)), normalize(draw(1)) - (means[0] + means[1]) / 2)
    # From here on, half of the mean stays.
    expected = (means[0] + means[1]) / 4 + means[2] / 2
    close(module(draw(2)), normalize(draw(2)) - expected)
    close(module.mean, expected)


def test_what_all_images_have_at_a_place_is_gone():
    module = PlaceCentering(CHANNELS, SIZE)
    same = draw(0)[:1].expand(5, -1, -1, -1)
    close(module(same), np.zeros((5, CHANNELS, SIZE, SIZE)))
    # The same content elsewhere is not.
    assert module(same.flip(-1)).abs().mean() > 0.1


def test_eval_mode_moves_nothing():
    module = PlaceCentering(CHANNELS, SIZE)
    module(draw(0))
    module.eval()
    before = {name: value.clone()
              for name, value in module.state_dict().items()}
    close(module(draw(1)),
          normalize(draw(1)) - before['mean'].double().numpy())
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_another_grid_is_centred_by_the_resized_mean():
    module = PlaceCentering(CHANNELS, SIZE)
    module(draw(0))
    module.mean.fill_(0.25)
    module.eval()
    close(module(draw(1, size=7)), normalize(draw(1, size=7)) - 0.25)
    assert module.train()(draw(2, size=7)).shape == (3, CHANNELS, 7, 7)


def test_goes_on_after_a_restart():
    module, other = (PlaceCentering(CHANNELS, SIZE) for _ in range(2))
    module(draw(0))
    other.load_state_dict(module.state_dict())
    assert torch.equal(module(draw(1)), other(draw(1)))


@pytest.mark.parametrize('momentum', [-0.1, 1.0])
def test_momentum_is_a_share(momentum):
    with pytest.raises(ValueError, match='model.centering.momentum'):
        PlaceCentering(CHANNELS, momentum=momentum)


def test_grid_is_that_of_the_first_target():
    module = PlaceCentering(CHANNELS).eval()
    close(module(draw(0)), normalize(draw(0)))  # nothing to subtract yet
    module.train()(draw(0))
    assert module.mean.shape == (CHANNELS, SIZE, SIZE)
    close(module.mean, normalize(draw(0)).mean(0))
    # Another grid afterwards is resized, and the mean keeps its own.
    assert module(draw(1, size=2 * SIZE)).shape[-1] == 2 * SIZE
    assert module.mean.shape == (CHANNELS, SIZE, SIZE)


@pytest.mark.parametrize('size', [None, SIZE, 2 * SIZE])
def test_grid_of_a_checkpoint_is_taken(size):
    trained = PlaceCentering(CHANNELS)
    trained(draw(0))
    module = PlaceCentering(CHANNELS, size)
    module.load_state_dict(trained.state_dict())
    assert torch.equal(module.mean, trained.mean)
    assert torch.equal(module.eval()(draw(1)), trained.eval()(draw(1)))


def test_checkpoint_of_other_channels_is_refused():
    trained = PlaceCentering(CHANNELS + 1)
    trained(torch.randn(2, CHANNELS + 1, SIZE, SIZE))
    with pytest.raises(RuntimeError, match='size mismatch for mean'):
        PlaceCentering(CHANNELS).load_state_dict(trained.state_dict())
