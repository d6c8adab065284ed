"""Killed trainings in numbers: the short form."""
import pytest
from endurance import Results


@pytest.mark.slow
def test_five_kills_lose_nothing(tmp_path):
    results = Results(tmp_path, seed=0)
    results.try_out('kills', 5)
    trials = results.content['trials']['kills']
    assert len(trials) == 5
    assert [each['what'] for each in trials if each['lost']] == []
