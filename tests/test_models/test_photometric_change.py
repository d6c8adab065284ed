"""The change of light, by its formula."""
import pytest
import torch

from projects.mask_jepa.models import PhotometricChange


def draw_images(count=200):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 8, 8, generator=generator) * 2 + 1


def change(images, seed=1, **options):
    generator = torch.Generator().manual_seed(seed)
    return PhotometricChange(**options)(images, generator)


def spread_evenly(values, largest):
    """Uniform in [-largest, largest], as far as 200 draws show it."""
    assert values.abs().max() <= largest
    assert values.min() < -0.9 * largest and values.max() > 0.9 * largest
    assert values.mean().abs() < 0.15 * largest


def test_brightness_shifts_an_image_as_a_whole():
    images = draw_images()
    shift = change(images, brightness=0.5) - images
    assert (shift.flatten(1).std(1) < 1e-5).all()
    spread_evenly(shift[:, 0, 0, 0], 0.5)


def test_color_shifts_each_channel():
    images = draw_images()
    shift = change(images, color=0.3) - images
    assert (shift.flatten(2).std(2) < 1e-5).all()
    for channel in range(3):
        spread_evenly(shift[:, channel, 0, 0], 0.3)
    assert not torch.allclose(shift[:, 0], shift[:, 1])


def test_contrast_stretches_around_the_mean():
    images = draw_images()
    changed = change(images, contrast=0.4)
    flat, changed = images.flatten(1), changed.flatten(1)
    torch.testing.assert_close(changed.mean(1), flat.mean(1))
    spread_evenly((changed.std(1) / flat.std(1)).log(), 0.4)
    correlation = [
        torch.corrcoef(torch.stack(pair))[0, 1]
        for pair in zip(flat, changed)
    ]
    assert min(correlation) > 0.9999


def test_same_seed_same_change():
    images = draw_images(4)
    options = dict(contrast=0.4, brightness=0.6, color=0.2)
    assert torch.equal(change(images, **options), change(images, **options))
    assert not torch.equal(
        change(images, **options), change(images, seed=2, **options))


def test_none_by_default_and_none_in_eval_mode():
    images = draw_images(4)
    torch.testing.assert_close(change(images), images)
    module = PhotometricChange(contrast=0.4, brightness=0.6).eval()
    assert torch.equal(module(images, torch.Generator()), images)


@pytest.mark.parametrize('name', ['contrast', 'brightness', 'color'])
def test_strength_is_not_negative(name):
    with pytest.raises(ValueError, match='photometric_change.*at least 0'):
        PhotometricChange(**{name: -0.1})
