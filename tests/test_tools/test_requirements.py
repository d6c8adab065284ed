import re

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement


def read(path):
    lines = [line.partition('#')[0] for line in path.read_text().splitlines()]
    return [Requirement(line) for line in lines if line.strip()]


@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12'])
def test_set_up_installs_supported_versions(root, python):
    environment = dict(
        default_environment(),
        python_version=python,
        python_full_version=f'{python}.1')
    pins = {
        pin.name: str(pin.specifier).removeprefix('==')
        for pin in read(root / 'requirements' / 'lock.txt')
        if not pin.marker or pin.marker.evaluate(environment)
    }
    # torch is the user's choice.
    script = (root / 'tools' / 'setup_env.sh').read_text()
    ranges = {range.name: range.specifier
              for range in read(root / 'requirements.txt')}
    torches = re.findall(r'^NEWEST_TORCH=(.*)|^ +([\d.]+)\) TORCHV', script,
                         re.MULTILINE)
    for version in torches:
        assert ''.join(version) in ranges['torch']
    versions = re.findall(r'TORCHVISION=([\d.]+)', script)
    assert len(versions) == 2
    assert all(version in ranges['torchvision'] for version in versions)
    for name in ranges.keys() - {'torch', 'torchvision'}:
        assert pins[name] in ranges[name], name
