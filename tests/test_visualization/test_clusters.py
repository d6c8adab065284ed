import itertools

import numpy as np
import pytest
import torch

from projects.mask_jepa.visualization.clusters import (cluster_features,
                                                       cluster_pixels,
                                                       match_clusters)


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
        'projects.mask_jepa.visualization.clusters.NUM_FITTED_PLACES', 50)
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
