from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MMLogger

from projects.mask_jepa.hooks import RankConsistencyHook, rank_consistency_hook


class Model(torch.nn.Module):
    """Nine weights, two common numbers, and one that may differ."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 3)
        self.prototypes = torch.nn.Module()
        self.prototypes.register_buffer('centers', torch.rand(2))
        self.register_buffer('running_mean', torch.rand(1))


@pytest.fixture
def be_second_rank(monkeypatch):
    """Pretend to be rank 1, where rank 0 holds what `first` makes of it."""

    def pretend(first):

        def broadcast(tensor):
            tensor.copy_(first(tensor.clone()))

        monkeypatch.setattr(rank_consistency_hook, 'get_world_size', lambda: 2)
        monkeypatch.setattr(rank_consistency_hook, 'broadcast', broadcast)
        monkeypatch.setattr(rank_consistency_hook, 'all_gather',
                            lambda own: [torch.ones_like(own), own])
        return SimpleNamespace(
            model=Model(), logger=MMLogger.get_instance('ranks'))

    return pretend


def test_equal_ranks_pass(be_second_rank, capsys):
    RankConsistencyHook().after_train(be_second_rank(lambda weights: weights))
    assert 'All 2 ranks hold the same 11 numbers' in capsys.readouterr().out


@pytest.mark.parametrize('place', [0, 8, 9, 10])
def test_smallest_difference_is_named(be_second_rank, place):

    def nudge(numbers):
        numbers[place] = torch.nextafter(numbers[place], torch.tensor(9.))
        return numbers

    with pytest.raises(RuntimeError, match=r'ranks \[1\] differ'):
        RankConsistencyHook().after_train(be_second_rank(nudge))
