"""Dependencies point one way, as CONTRIBUTING.md draws them."""
import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'projects' / 'mask_jepa'
# From the top; a room imports from lower lines only.
FLOORS = [
    {'apis'},
    {'hooks', 'experiments', 'benchmark'},
    {'evaluation', 'report'},
    {'visualization'},
    {'engine', 'weights'},
    {'datasets', 'models'},
    {'losses'},
    {'utils', 'version'},
]
LEVELS = {room: len(FLOORS) - level
          for level, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(path):
    """Rooms of the package that a module imports from."""
    package = path.relative_to(ROOT).with_suffix('').parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = list(package[:len(package) - node.level + 1]
                        if node.level else [])
            names = base + (node.module or '').split('.')
            full = '.'.join(filter(None, names))
        elif isinstance(node, ast.Import):
            full = node.names[0].name
        else:
            continue
        found = re.match(r'projects\.mask_jepa\.(\w+)', full)
        if found:
            yield found[1]


@pytest.mark.parametrize('room', sorted(LEVELS.keys() - {'version'}))
def test_no_room_imports_from_its_own_floor_or_above(room):
    for path in (PACKAGE / room).rglob('*.py'):
        for other in set(imported_rooms(path)) - {room}:
            assert LEVELS[other] < LEVELS[room], f'{path.name}: {other}'


def test_every_room_has_its_floor():
    rooms = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert rooms == LEVELS.keys() - {'version'}


def test_page_for_contributors_draws_the_floors():
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    positions = [
        min(text.index(f'`{room}/`') for room in rooms)
        for rooms in FLOORS[:-1]
    ] + [text.index('`utils/`')]
    assert positions == sorted(positions)
