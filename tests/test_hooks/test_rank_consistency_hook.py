from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MMLogger

from projects.mask_jepa.hooks import RankConsistencyHook, rank_consistency_hook


@pytest.fixture
def two_ranks(monkeypatch):
    """Pretend that another rank holds what `other` makes of the weights."""

    def pretend(other):
        monkeypatch.setattr(rank_consistency_hook, 'get_world_size', lambda: 2)
        monkeypatch.setattr(
            rank_consistency_hook, 'all_gather',
            lambda own: [own.clone(), other(own.clone())])
        return SimpleNamespace(
            model=torch.nn.Linear(2, 3), logger=MMLogger.get_instance('ranks'))

    return pretend


def test_equal_ranks_pass(two_ranks, capsys):
    RankConsistencyHook().after_train(two_ranks(lambda weights: weights))
    assert 'All 2 ranks hold the same 9 parameters' in capsys.readouterr().out


def test_smallest_difference_is_named(two_ranks):
    def nudge(weights):
        weights[-1] = torch.nextafter(weights[-1], torch.tensor(9.))
        return weights

    with pytest.raises(RuntimeError, match=r'ranks \[1\] differ'):
        RankConsistencyHook().after_train(two_ranks(nudge))
