"""Wildcards, columns and renaming, worked by hand."""
import pytest
import torch

from mask_jepa.weights.frameworks.backbone_names import (merge_like_ours,
                                                         merge_like_theirs)
from mask_jepa.weights.frameworks.name_table import (Row, below, fill, match,
                                                     name_tables,
                                                     rename_to_ours,
                                                     rename_to_theirs)

TABLE = [
    Row('layers.#.fc.*', ('blocks.#+1.linear.*', )),
    Row('attn.in_proj_*', ('q.*', 'k.*', 'v.*')),
    Row('turned', ('flipped', ), lambda value: value.flip(0),
        lambda value: value.flip(0)),
    Row('index', ()),
]


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


def test_names_pieces_and_order():
    weights = {
        'layers.3.fc.weight': torch.tensor([1.]),
        'attn.in_proj_bias': torch.arange(6.),
        'turned': torch.tensor([1., 2.]),
        'index': torch.tensor(5),
    }
    theirs = rename_to_theirs(weights, TABLE).weights
    assert {key: value.tolist() for key, value in theirs.items()} == {
        'blocks.4.linear.weight': [1.],
        'q.bias': [0., 1.],
        'k.bias': [2., 3.],
        'v.bias': [4., 5.],
        'flipped': [2., 1.],
    }
    # Each in a memory of its own: a file would hold the whole otherwise.
    assert theirs['k.bias'].untyped_storage().nbytes() == 8
    ours, unknown = rename_to_ours({**theirs, 'head': torch.ones(1)}, TABLE)
    assert unknown == ['head']
    weights.pop('index')
    assert ours.keys() == weights.keys()
    for key, value in weights.items():
        assert torch.equal(ours[key], value)


def test_what_has_no_place_is_counted():
    names = ['norm0.weight', 'norm0.bias', 'norm3.weight', 'stage2.1', 'kept']
    table = [
        Row('stage2#.*', ()), Row('kept', ('theirs', )), Row('norm0.*', ()),
        Row('norm3.*', ())
    ]
    written = rename_to_theirs(dict.fromkeys(names, torch.ones(1)), table)
    assert written.without_place == {'stage*.*': 1, 'norm*.*': 3}
    assert written.weights.keys() == {'theirs'}


def test_unknown_name_is_told():
    with pytest.raises(ValueError, match='layers.3.norm has no counterpart'):
        rename_to_theirs({'layers.3.norm': torch.ones(1)}, TABLE)


def test_missing_piece_is_told():
    with pytest.raises(ValueError, match='hold q.bias, but not k.bias'):
        rename_to_ours({'q.bias': torch.ones(1), 'v.bias': torch.ones(1)},
                       TABLE)


# The order in which Swin merges places, worked by hand.


def test_merged_places_worked_by_hand():
    """Two channels a, b at the places of a 2x2 cell."""
    ours = ['a00', 'a01', 'a10', 'a11', 'b00', 'b01', 'b10', 'b11']
    theirs = ['a00', 'b00', 'a10', 'b10', 'a01', 'b01', 'a11', 'b11']
    order = merge_like_theirs(torch.arange(8)[None])[0]
    assert [ours[index] for index in order] == theirs
    assert merge_like_ours(order[None])[0].tolist() == list(range(8))
