import random

import numpy as np
import pytest
import torch

from projects.mask_jepa.utils import evenly_spread, fixed_seed, mix_seed


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_mix_depends_on_every_number_and_on_their_order():
    seeds = [mix_seed(a, b, c)
             for a in range(12) for b in range(12) for c in range(12)]
    assert len(set(seeds)) == 12**3
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mix_seed(3, 4) == mix_seed(3, 4) != mix_seed(4, 3)
    torch.Generator().manual_seed(max(seeds))


def test_neighbours_are_unrelated():
    """About half of the bits differ, and no sum decides the seed."""
    differing = [
        bin(mix_seed(0, step) ^ mix_seed(0, step + 1)).count('1')
        for step in range(500)
    ]
    assert np.mean(differing) == pytest.approx(31.5, abs=1)


def test_fixed_seed_fixes_all_three_generators():
    draw()
    with fixed_seed(2**62 + 5):
        first = draw()
    draw()
    with fixed_seed(2**62 + 5):
        assert draw() == first
    with fixed_seed(2**62 + 6):
        assert all(one != other for one, other in zip(draw(), first))


def test_generators_are_put_back_even_after_an_error():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw(), draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    first = draw()
    with pytest.raises(KeyError), fixed_seed(7):
        draw()
        raise KeyError
    assert (first, draw()) == expected


@pytest.mark.parametrize('length, count, expected', [
    (10, 4, [0, 3, 6, 9]),
    (5, 1, [0]),
    (3, 8, [0, 1, 2]),
])
def test_indices_are_evenly_spread(length, count, expected):
    assert evenly_spread(length, count) == expected
