import json
import pickle
from itertools import islice

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.dataset import InfiniteSampler
from mmengine.runner import Runner
from PIL import Image

from mask_jepa.datasets import (SeededIndex, SeekableInfiniteSampler,
                                UnlabeledImageDataset)


class Images(torch.utils.data.Dataset):

    cumulative_sizes = [2, 2, 7]  # of sources, one of which is empty

    def __len__(self):
        return 7


def make(rank=0, world_size=1, kind=SeekableInfiniteSampler, **options):
    sampler = kind(Images(), **dict(dict(seed=3), **options))
    sampler.rank, sampler.world_size = rank, world_size
    return sampler


def draw(sampler, count):
    return [(index, getattr(index, 'seed', None))
            for index in islice(iter(sampler), count)]


@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('rank, world_size', [(0, 1), (0, 3), (2, 3)])
def test_order_is_that_of_mmengine(shuffle, rank, world_size):
    ours = make(rank, world_size, shuffle=shuffle)
    stock = make(rank, world_size, kind=InfiniteSampler, shuffle=shuffle)
    stock.indices = stock._indices_of_rank()
    assert [index for index, _ in draw(ours, 40)] == [
        index for index, _ in draw(stock, 40)]


@pytest.mark.parametrize('first_draw', [0, 1, 6, 7, 33])
@pytest.mark.parametrize('rank, world_size', [(0, 1), (1, 2)])
@pytest.mark.parametrize('weights', [None, [0.7, 0, 0.3]])
def test_seek_continues_with_the_same_samples(first_draw, rank, world_size,
                                              weights):
    options = dict(source_weights=weights)
    expected = draw(make(rank, world_size, **options), 60)[first_draw:]
    resumed = make(rank, world_size, seed=99, **options)
    resumed.seek(first_draw, seed=3)
    assert draw(resumed, 60 - first_draw) == expected


def test_loop_of_onedl_starts_where_it_asks_unless_it_was_sought():
    expected = draw(make(), 60)
    sampler = make()
    sampler.skip(12)
    assert draw(sampler, 48) == expected[12:]
    # 12 are as many iterations of another batch size.
    sampler = make(seed=99)
    sampler.seek(5, seed=3)
    sampler.skip(12)
    assert draw(sampler, 55) == expected[5:]


def test_each_iterator_starts_again():
    sampler = make()
    assert draw(sampler, 10) == draw(sampler, 10)


@pytest.mark.parametrize('weights', [None, [3, 0, 1]])
def test_ranks_share_out_one_sequence(weights):
    options = dict(source_weights=weights)
    single = draw(make(**options), 42)
    ranks = [draw(make(rank, 2, **options), 21) for rank in range(2)]
    assert [sample for pair in zip(*ranks) for sample in pair] == single
    assert not set(ranks[0]) & set(ranks[1])


def test_every_pass_holds_every_image_once():
    indices = [index for index, _ in draw(make(), 21)]
    for start in (0, 7, 14):
        assert sorted(indices[start:start + 7]) == list(range(7))
    assert indices[:7] != indices[7:14]


def test_sources_get_shares_by_weight_and_each_image_its_turn():
    indices = [
        index for index, _ in draw(make(source_weights=[3, 0, 1]), 10_000)
    ]
    first = [index for index in indices if index < 2]
    second = [index for index in indices if index >= 2]
    # The standard deviation of a share of 10,000 draws is 0.0043.
    assert len(first) / len(indices) == pytest.approx(3 / 4, abs=0.018)
    for each, images in ((first, [0, 1]), (second, [2, 3, 4, 5, 6])):
        size = len(images)
        passes = [
            each[start:start + size]
            for start in range(0, len(each) - size, size)
        ]
        assert all(sorted(one) == images for one in passes)
        assert len(set(map(tuple, passes))) > 1


@pytest.mark.parametrize('weights, wrong', [
    ([1, 2], 'has 2 weights for 3 sources'),
    ([1, -1, 1], 'must be numbers of at least 0'),
    ([1, float('nan'), 1], 'must be numbers of at least 0'),
    ([0, 0, 0], 'one above 0'),
    ([1, 1, 1], 'a source without images'),
])
def test_wrong_weights_are_refused(weights, wrong):
    with pytest.raises(ValueError, match=wrong):
        make(source_weights=weights)


def test_no_seed_comes_twice():
    """Neither within a rank nor across ranks, passes or sampler seeds."""
    seeds = [
        seed for sampler_seed in range(3) for rank in range(2)
        for _, seed in draw(make(rank, 2, seed=sampler_seed), 500)
    ]
    assert len(set(seeds)) == 3 * 2 * 500
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_index_keeps_its_seed_on_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(SeededIndex(5, 77)))
    assert (index, index.seed) == (5, 77)


# Any data set is seeded.

PIPELINE = [
    dict(type='ReadUnlabeledImage'),
    dict(type='DecodeRandomResizedCrop', scale=32),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUnlabeledInputs', meta_keys=('img_path', ))
]


@pytest.fixture
def datasets(image_folder):
    """Data sets of others, and ours within theirs."""
    names = sorted(path.name for path in image_folder.glob('*.jpg'))
    infos = [
        dict(id=number, file_name=name, width=96, height=80)
        for number, name in enumerate(names)
    ]
    annotations = image_folder / 'coco.json'
    annotations.write_text(
        json.dumps(dict(images=infos, annotations=[], categories=[])))
    for name in names:
        Image.new('L', (96, 80)).save((image_folder / name).with_suffix(
            '.png'))
    ours = dict(
        type='UnlabeledImageDataset',
        data_root=str(image_folder / 'nested'),
        pipeline=PIPELINE)
    return dict(
        ours=ours,
        concatenated=dict(type='ConcatDataset', datasets=[ours, ours]),
        repeated=dict(type='RepeatDataset', dataset=ours, times=3),
        mmdet=dict(
            type='CocoDataset',
            ann_file=str(annotations),
            data_prefix=dict(img=str(image_folder)),
            pipeline=PIPELINE),
        mmseg=dict(
            type='mmseg.BaseSegDataset',
            data_prefix=dict(img_path=str(image_folder)),
            pipeline=PIPELINE))


@pytest.mark.parametrize(
    'kind', ['ours', 'concatenated', 'repeated', 'mmdet', 'mmseg'])
def test_samples_depend_on_seed_and_place_alone(datasets, kind):

    def load(num_workers, first_draw=0, seed=1):
        torch.manual_seed(num_workers + first_draw)
        loader = Runner.build_dataloader(
            dict(
                dataset=datasets[kind],
                batch_size=2,
                num_workers=num_workers,
                sampler=dict(type='SeekableInfiniteSampler')),
            seed=99)
        loader.sampler.seek(first_draw, seed)
        inputs = [batch['inputs'] for batch in islice(loader, 4)]
        return torch.stack([image for pair in inputs for image in pair])

    straight = load(0)
    assert torch.equal(load(2), straight)
    assert torch.equal(load(0, first_draw=4)[:4], straight[4:])
    assert not torch.equal(load(0, seed=2), straight)
    assert len(set(map(str, straight.flatten(1).tolist()))) == 8


def test_weights_are_for_concatenated_data_sets(datasets):
    dataset = DATASETS.build(datasets['concatenated'])
    sampler = SeekableInfiniteSampler(dataset, source_weights=[0, 1], seed=0)
    assert {index for index, _ in draw(sampler, 40)} == {4, 5, 6, 7}


def test_weights_are_of_whole_sources(image_folder):
    dataset = UnlabeledImageDataset(
        [str(image_folder), str(image_folder / 'nested')], [], indices=4)
    with pytest.raises(ValueError, match='dataset.indices takes some of'):
        SeekableInfiniteSampler(dataset, source_weights=[1, 1], seed=0)
