"""Every config parses, and survives what MMEngine does with it."""
import pytest
from config_files import CONFIGS, load, name, plain
from mmengine.config import Config


@pytest.mark.parametrize('path', sorted(CONFIGS.rglob('*.py')), ids=name)
def test_parses_and_survives_its_own_text(path):
    config = load(path)
    again = Config.fromstring(config.pretty_text, file_format='.py')
    assert plain(again) == plain(config)
