import warnings

import numpy as np
import pytest
import torch

from projects.mask_jepa.visualization.principal_components import \
    principal_components

SHAPES = ((6, 8), (5, 7))


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5])[:, None, None]
    return [
        scale * torch.randn(5, *shape, generator=generator)
        for shape in SHAPES
    ]


@pytest.fixture
def pictures():
    rng = np.random.default_rng(4)
    return [rng.random((4 * height, 4 * width, 3)) for height, width in SHAPES]


def luminances(pictures):
    """Mean luminance of each 4x4 pixels, by hand."""
    values = []
    for picture in pictures:
        height, width = picture.shape[0] // 4, picture.shape[1] // 4
        grey = picture @ np.array([0.299, 0.587, 0.114])
        values.append(
            grey.reshape(height, 4, width, 4).mean((1, 3)).ravel())
    return np.concatenate(values)


def test_equal_to_singular_value_decomposition(maps, pictures):
    places = np.concatenate([part.flatten(1).T.numpy() for part in maps])
    centred = places - places.mean(0)
    components = centred @ np.linalg.svd(centred)[2][:3].T
    components *= np.sign(components.T @ (luminances(pictures)
                                          - luminances(pictures).mean()))
    low, high = np.percentile(components, (2, 98), axis=0)
    expected = np.clip((components - low) / (high - low), 0, 1)
    colours = principal_components(maps, pictures)
    assert [part.shape for part in colours] == [(6, 8, 3), (5, 7, 3)]
    found = np.concatenate([part.reshape(-1, 3) for part in colours])
    assert found == pytest.approx(expected, abs=1e-4)


def test_every_component_grows_with_brightness(maps, pictures):
    for sign in (1, -1):
        colours = principal_components([sign * part for part in maps],
                                       pictures)
        found = np.concatenate([part.reshape(-1, 3) for part in colours])
        low, high = np.percentile(found, (10, 90), axis=0)
        assert (high - low > 0.3).all()
        if sign == 1:
            first = found
    # So a flipped sign of the features flips no colour.
    assert found == pytest.approx(first, abs=1e-4)


def test_rotated_features_look_the_same(maps, pictures):
    generator = torch.Generator().manual_seed(5)
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator))[0]
    rotated = [torch.einsum('dc,chw->dhw', rotation, part) for part in maps]
    before = principal_components(maps, pictures)
    after = principal_components(rotated, pictures)
    for one, two in zip(before, after):
        assert two == pytest.approx(one, abs=1e-4)


def test_collapsed_features_and_a_single_place_are_drawn():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        constant, = principal_components([torch.ones(4, 6, 6)],
                                         [np.random.rand(24, 24, 3)])
    assert np.isfinite(constant).all()
    single, = principal_components([torch.ones(4, 1, 1)],
                                   [np.random.rand(32, 32, 3)])
    assert single.shape == (1, 1, 3)
