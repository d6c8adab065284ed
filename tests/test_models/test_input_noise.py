import pytest
import torch

from projects.mask_jepa.models.input_noise import InputNoise


def generator():
    return torch.Generator().manual_seed(7)


@pytest.fixture
def image():
    return torch.randn(
        2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def hidden():
    """The left third of image 0, the lower half of image 1."""
    hidden = torch.zeros(2, 1, 64, 96, dtype=torch.bool)
    hidden[0, :, :, :32] = True
    hidden[1, :, 32:] = True
    return hidden


def test_equals_the_formula(image, hidden):
    noisy = InputNoise(gamma=0.64, masked_gamma=0.09)(image, hidden,
                                                      generator())
    noise = torch.randn(image.shape, generator=generator())
    visible = 0.8 * image + 0.6 * noise
    masked = 0.3 * image + 0.91**0.5 * noise
    torch.testing.assert_close(noisy, torch.where(hidden, masked, visible))


def test_hidden_pixels_hold_nothing_of_the_image(image, hidden):
    noise = InputNoise(gamma=0.7, masked_gamma=0.0)
    other = torch.where(hidden, 5 * image.flip(0) - 3, image)
    noisy = noise(image, hidden, generator())
    assert torch.equal(noisy, noise(other, hidden, generator()))
    wide = hidden.expand_as(image)
    expected = torch.randn(image.shape, generator=generator())
    assert torch.equal(noisy[wide], expected[wide])


def test_gamma_of_one_keeps_the_visible_pixels(image, hidden):
    noisy = InputNoise(gamma=1.0, masked_gamma=0.0)(image, hidden, generator())
    wide = hidden.expand_as(image)
    assert torch.equal(noisy[~wide], image[~wide])
    assert not torch.isclose(noisy[wide], image[wide]).all()


@pytest.mark.parametrize('gamma', [0.0, 0.3, 0.7, 1.0])
def test_variance_is_kept(hidden, gamma):
    image = torch.randn(
        2, 3, 512, 512, generator=torch.Generator().manual_seed(2))
    hidden = torch.zeros(2, 1, 512, 512, dtype=torch.bool)
    noisy = InputNoise(gamma)(image, hidden, generator())
    assert noisy.var().item() == pytest.approx(1, abs=0.01)


def test_every_pixel_gets_noise_of_its_own(image, hidden):
    noisy = InputNoise(0.0, 0.0)(image, hidden, generator())
    assert noisy.unique().numel() > 0.99 * noisy.numel()


@pytest.mark.parametrize('name', ['gamma', 'masked_gamma'])
@pytest.mark.parametrize('value', [-0.01, 1.01])
def test_wrong_option_is_named(name, value):
    with pytest.raises(ValueError, match=rf'noise\.{name} .* {value}'):
        InputNoise(**{name: value})
