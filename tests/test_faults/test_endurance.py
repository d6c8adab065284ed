"""Killed trainings in numbers: the short form."""
import pytest
from endurance import Bench, Results


@pytest.mark.slow
def test_five_kills_lose_nothing(tmp_path):
    results = Results(tmp_path / 'results.json', seed=0)
    results.run('kills', Bench(tmp_path), 5)
    trials = results.content['trials']['kills']
    assert len(trials) == 5
    assert [each['what'] for each in trials if each['lost']] == []
