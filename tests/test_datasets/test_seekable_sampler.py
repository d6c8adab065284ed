from itertools import islice

import pytest
from mmengine.dataset import InfiniteSampler

from projects.mask_jepa.datasets import SeekableInfiniteSampler


def make(rank=0, world_size=1, kind=SeekableInfiniteSampler, **options):
    sampler = kind(range(7), **dict(dict(seed=3), **options))
    sampler.rank, sampler.world_size = rank, world_size
    return sampler


def draw(sampler, count):
    return list(islice(iter(sampler), count))


@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('rank, world_size', [(0, 1), (0, 3), (2, 3)])
def test_order_is_that_of_mmengine(shuffle, rank, world_size):
    ours = make(rank, world_size, shuffle=shuffle)
    stock = make(rank, world_size, kind=InfiniteSampler, shuffle=shuffle)
    stock.indices = stock._indices_of_rank()
    assert [index for index, _ in draw(ours, 40)] == draw(stock, 40)


@pytest.mark.parametrize('first_draw', [0, 1, 6, 7, 33])
@pytest.mark.parametrize('rank, world_size', [(0, 1), (1, 2)])
def test_seek_continues_with_the_same_samples(first_draw, rank, world_size):
    expected = draw(make(rank, world_size), 60)[first_draw:]
    resumed = make(rank, world_size, seed=99)
    resumed.seek(first_draw, seed=3)
    assert draw(resumed, 60 - first_draw) == expected


def test_each_iterator_starts_again():
    sampler = make()
    assert draw(sampler, 10) == draw(sampler, 10)


def test_ranks_share_out_one_sequence():
    single = draw(make(), 42)
    ranks = [draw(make(rank, 2), 21) for rank in range(2)]
    assert [sample for pair in zip(*ranks) for sample in pair] == single
    assert not set(ranks[0]) & set(ranks[1])


def test_every_pass_holds_every_image_once():
    indices = [index for index, _ in draw(make(), 21)]
    for start in (0, 7, 14):
        assert sorted(indices[start:start + 7]) == list(range(7))
    assert indices[:7] != indices[7:14]


def test_no_seed_comes_twice():
    """Neither within a rank nor across ranks, passes or sampler seeds."""
    seeds = [
        seed for sampler_seed in range(3) for rank in range(2)
        for _, seed in draw(make(rank, 2, seed=sampler_seed), 500)
    ]
    assert len(set(seeds)) == 3 * 2 * 500
    assert all(0 <= seed < 2**63 for seed in seeds)
