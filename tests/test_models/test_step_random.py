import pytest
import torch

from projects.mask_jepa.models import step_random
from projects.mask_jepa.models.step_random import StepRandom, randn

CPU = torch.device('cpu')


def numbers(module):
    return torch.rand(6, generator=module(CPU)).tolist()


def test_same_seed_rank_and_step_give_the_same_numbers():
    first, second = StepRandom(3), StepRandom(3)
    assert [numbers(first) for _ in range(4)
            ] == [numbers(second) for _ in range(4)]


def test_every_step_seed_and_rank_gives_other_numbers(monkeypatch):
    drawn = []
    for rank in range(3):
        monkeypatch.setattr(step_random, 'get_rank', lambda: rank)
        for seed in range(3):
            module = StepRandom(seed)
            drawn += [tuple(numbers(module)) for _ in range(5)]
    assert len(set(drawn)) == 3 * 3 * 5


def test_a_loaded_state_continues():
    straight = StepRandom(8)
    expected = [numbers(straight) for _ in range(6)]
    interrupted = StepRandom(8)
    for _ in range(3):
        numbers(interrupted)
    resumed = StepRandom(1234)
    resumed.load_state_dict(interrupted.state_dict())
    assert [numbers(resumed) for _ in range(3)] == expected[3:]


def test_state_is_as_of_buffers():
    module = StepRandom(8)
    numbers(module)
    state = module.state_dict()
    assert {name: value.item() for name, value in state.items()} == dict(
        seed=8, step=1)
    assert all(value.dtype == torch.int64 for value in state.values())
    found = StepRandom(1).load_state_dict({'seed': state['seed']}, False)
    assert (found.missing_keys, found.unexpected_keys) == (['step'], [])
    with pytest.raises(RuntimeError, match='Missing key.*"step"'):
        StepRandom(1).load_state_dict({'seed': state['seed']})


def test_evaluation_neither_counts_nor_changes():
    module = StepRandom(5)
    numbers(module)
    module.eval()
    assert numbers(module) == numbers(module)
    assert module.step == 1
    expected = numbers(module)
    assert numbers(module.train()) == expected
    assert numbers(module) != expected


def test_without_a_seed_it_follows_torch():
    torch.manual_seed(21)
    first = StepRandom()
    torch.manual_seed(21)
    second = StepRandom()
    torch.manual_seed(22)
    third = StepRandom()
    assert numbers(first) == numbers(second) != numbers(third)


def test_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    numbers(StepRandom(5))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_randn_draws_in_the_shape_and_type_of_a_tensor(dtype):
    like = torch.zeros(2, 5, dtype=dtype)
    drawn = randn(like, torch.Generator().manual_seed(1))
    expected = torch.randn(
        2, 5, dtype=dtype, generator=torch.Generator().manual_seed(1))
    assert drawn.dtype == dtype and torch.equal(drawn, expected)
