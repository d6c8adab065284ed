"""Killed trainings in numbers: the short form."""
import pytest
from endurance import Results


@pytest.mark.slow
def test_five_kills_lose_nothing(tmp_path):
    results = Results(tmp_path, seed=0)
    results.try_out('kills', 5)
    assert len(results.all()) == 5
    assert [each['what'] for each in results.all() if each['lost']] == []
