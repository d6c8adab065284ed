"""What a run has written to scalars.json."""
import json
from pathlib import Path

import pytest


@pytest.fixture
def logged():
    """Read the values of a name, by iteration."""

    def read(runner, name):
        path = Path(runner._log_dir) / 'vis_data' / 'scalars.json'
        lines = map(json.loads, path.read_text().splitlines())
        return {line['step']: line[name] for line in lines if name in line}

    return read
