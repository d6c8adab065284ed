import numpy as np
import pytest
import torch

from projects.mask_jepa.visualization.query_masks import (colour_query_masks,
                                                          query_colours)


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
