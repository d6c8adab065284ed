"""Wildcards and columns, worked by hand."""
import pytest

from projects.mask_jepa.export.frameworks.name_table import (Row, below, fill,
                                                             match,
                                                             name_tables)


@pytest.mark.parametrize('template, name, parts', [
    ('a.*.b_*', 'a.x.b_y', ('x', 'y')),
    ('a.*', 'a.x.y', None),
    ('a.b', 'a.b', ()),
    ('a.b', 'a_b', None),
    ('a#.b', 'a12.b', ('12', )),
    ('a#.b', 'ax.b', None),
    ('a#+2.b', 'a5.b', ('3', )),
    ('a#+2.b', 'a1.b', None),
    ('2#.*', '6.x', ('3', 'x')),
    ('2#.*', '7.x', None),
    ('2#+1.*', '7.x', ('3', 'x')),
])
def test_wildcards(template, name, parts):
    assert match(template, name) == parts
    if parts is not None:
        assert fill(template, parts) == name


def turn(value):
    return value.flip(0)


def test_every_framework_gets_its_column():
    tables = name_tables(
        ('first', 'second'),
        below(('a.', '', 'x.'),
              ('in_*', '{q,k}.*', 'in_*'),
              ('out', None, 'o')),
        below(('b.#.', None, 'y.#+1.'),
              ('w', None, 'v'),
              to_theirs=turn,
              to_ours=turn))
    assert tables == dict(
        first=[Row('a.in_*', ('q.*', 'k.*')),
               Row('a.out', ())],
        second=[
            Row('a.in_*', ('x.in_*', )),
            Row('a.out', ('x.o', )),
            Row('b.#.w', ('y.#+1.v', ), turn, turn)
        ])
