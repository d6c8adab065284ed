import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log(tmp_path):
    """Read what the current logger has written."""
    path = tmp_path / 'test.log'
    MMLogger.get_instance('said', log_file=str(path))
    return path.read_text
