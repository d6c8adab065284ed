"""Colours of errors, queries, features and clusters."""
import itertools
import warnings

import numpy as np
import pytest
import torch

from mask_jepa.visualization.clusters import (cluster_features, cluster_pixels,
                                              match_clusters)
from mask_jepa.visualization.colours import (MAX_ERROR, colour_clusters,
                                             colour_error, colour_query_masks,
                                             principal_components,
                                             query_colours)

SHAPES = ((6, 8), (5, 7))


@pytest.mark.parametrize('count', [2, 9, 10, 20])
def test_every_cluster_has_a_colour_of_its_own(count):
    colours = colour_clusters(np.arange(count)[None], count)
    assert colours.shape == (1, count, 3)
    assert len(np.unique(colours[0], axis=0)) == count
    assert colours.min() >= 0 and colours.max() <= 1


def test_scale_of_the_error_is_fixed():
    error = np.array([[0, MAX_ERROR / 2, MAX_ERROR, 9]])
    colours = colour_error(error)[0]
    assert (colours[0] == colour_error(np.zeros((1, 1)))).all()
    assert (np.diff(colours.sum(-1))[:2] > 0.5).all()  # ever brighter
    assert (colours[2] == colours[3]).all()


@pytest.mark.parametrize('count', [10, 50, 100])
def test_a_place_of_one_query_has_its_colour(count):
    owner = torch.arange(count).view(2, -1)
    alpha = torch.nn.functional.one_hot(owner, count).permute(2, 0, 1).float()
    picture = colour_query_masks(alpha)
    assert picture.shape == (2, count // 2, 3)
    assert picture.reshape(-1, 3) == pytest.approx(query_colours(count))


@pytest.mark.parametrize('count', [10, 50, 100])
def test_a_place_of_all_queries_is_grey(count):
    picture = colour_query_masks(torch.full((count, 3, 4), 1 / count))
    assert picture == pytest.approx(np.full((3, 4, 3), 0.5), abs=0.02)


def test_shared_places_mix_in_proportion():
    alpha = torch.zeros(10, 1, 1)
    alpha[2], alpha[7] = 0.25, 0.75
    colours = query_colours(10)
    assert colour_query_masks(alpha)[0, 0] == pytest.approx(
        0.25 * colours[2] + 0.75 * colours[7])


def test_colours_are_distinct_and_neighbours_far_apart():
    colours = query_colours(100)
    assert colours.min() >= 0 and colours.max() <= 1
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert distance[~np.eye(100, dtype=bool)].min() > 0.01
    assert np.diagonal(distance, 1).min() > 0.5


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


# Clusters, and the numbers they get.


def random_clusters(count, seed=0):
    rng = np.random.default_rng(seed)
    # Of two sizes, as images of two formats are.
    return [rng.integers(0, count, shape) for shape in ((9, 7), (6, 11))]


@pytest.mark.parametrize('order', [(1, 2, 3, 0), (3, 2, 1, 0), (0, 3, 1, 2)])
def test_permuted_numbers_get_their_colours_back(order):
    clusters = random_clusters(4)
    permuted = [np.array(order)[part] for part in clusters]
    matched = match_clusters(permuted, clusters, 4)
    for part, original in zip(matched, clusters):
        assert np.array_equal(part, original)


def test_reference_of_another_size_gives_its_numbers():
    clusters = random_clusters(4)
    larger = [part.repeat(2, axis=0).repeat(2, axis=1) for part in clusters]
    permuted = [(part + 1) % 4 for part in larger]
    matched = match_clusters(permuted, clusters, 4)
    for part, original in zip(matched, larger):
        assert np.array_equal(part, original)


def test_match_agrees_with_trying_every_permutation():
    clusters, reference = random_clusters(4, 1), random_clusters(4, 2)

    def agreement(candidate):
        return sum((part == other).sum()
                   for part, other in zip(candidate, reference))

    best = max(
        agreement([np.array(order)[part] for part in clusters])
        for order in itertools.permutations(range(4)))
    assert agreement(match_clusters(clusters, reference, 4)) == best


def test_empty_cluster_shifts_no_colour():
    reference = [np.array([[0, 1, 3, 3]])]  # without 2
    clusters = [np.array([[3, 2, 0, 0]])]  # without 1
    matched = match_clusters(clusters, reference, 4)
    assert np.array_equal(matched[0], reference[0])


def test_features_of_clear_groups_are_found():
    groups = random_clusters(3)
    directions = torch.eye(3)
    maps = []
    for seed, part in enumerate(groups):
        noise = torch.randn(
            3, *part.shape, generator=torch.Generator().manual_seed(seed))
        # Length must not count, only direction.
        length = torch.from_numpy(1.0 + np.arange(part.size)).view(part.shape)
        signal = directions[torch.from_numpy(part)].permute(2, 0, 1)
        maps.append((signal + 0.02 * noise) * length)
    found = match_clusters(cluster_features(maps, 3), groups, 3)
    for part, expected in zip(found, groups):
        assert np.array_equal(part, expected)


def test_large_maps_are_fitted_on_a_sample(monkeypatch):
    clusters = cluster_features([torch.randn(4, 16, 16)], 3)[0]
    assert set(np.unique(clusters)) == {0, 1, 2}
    monkeypatch.setattr(
        'mask_jepa.visualization.clusters.NUM_FITTED_PLACES', 50)
    sides = torch.cat([torch.ones(1, 20, 10), -torch.ones(1, 20, 10)], dim=2)
    clusters = cluster_features([sides], 2)[0]
    assert len(np.unique(clusters[:, :10])) == 1
    assert len(np.unique(clusters)) == 2


def test_pixels_are_grouped_by_colour_and_position():
    picture = np.zeros((32, 48, 3))
    picture[:, 24:] = 1
    left_right, = cluster_pixels([picture], [(8, 12)], 2)
    assert left_right.shape == (8, 12)
    assert len(np.unique(left_right[:, :6])) == 1
    assert len(np.unique(left_right[:, 6:])) == 1
    # One colour only: position decides.
    grey, = cluster_pixels([np.full((32, 48, 3), 0.5)], [(8, 12)], 4)
    assert len(np.unique(grey)) == 4
