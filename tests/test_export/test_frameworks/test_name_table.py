"""Renaming, worked by hand."""
import pytest
import torch

from projects.mask_jepa.export.frameworks.name_table import (
    Row, count_without_place, rename_to_ours, rename_to_theirs, row)
from projects.mask_jepa.export.frameworks.swin_names import (merge_like_ours,
                                                             merge_like_theirs)

TABLE = [
    row('layers.*.fc.*', 'blocks.*.linear.*'),
    row('attn.in_proj_*', 'q.*', 'k.*', 'v.*'),
    Row('turned', ('flipped', ), lambda value: value.flip(0),
        lambda value: value.flip(0)),
    row('index'),
]


def test_names_pieces_and_order():
    weights = {
        'layers.3.fc.weight': torch.tensor([1.]),
        'attn.in_proj_bias': torch.arange(6.),
        'turned': torch.tensor([1., 2.]),
        'index': torch.tensor(5),
    }
    theirs = rename_to_theirs(weights, TABLE)
    assert {key: value.tolist() for key, value in theirs.items()} == {
        'blocks.3.linear.weight': [1.],
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
    names = ['norm0.weight', 'norm0.bias', 'norm3.weight', 'index', 'kept']
    table = [
        row('index'), row('kept', 'theirs'), row('norm0.*'), row('norm3.*')
    ]
    assert count_without_place(dict.fromkeys(names), table) == {
        'index': 1, 'norm*.*': 3}


def test_unknown_name_is_told():
    with pytest.raises(ValueError, match='layers.3.norm has no counterpart'):
        rename_to_theirs({'layers.3.norm': torch.ones(1)}, TABLE)


def test_missing_piece_is_told():
    with pytest.raises(ValueError, match='hold q.bias, but not k.bias'):
        rename_to_ours({'q.bias': torch.ones(1), 'v.bias': torch.ones(1)},
                       TABLE)


def test_merged_places_worked_by_hand():
    """Two channels a, b at the places of a 2x2 cell."""
    ours = ['a00', 'a01', 'a10', 'a11', 'b00', 'b01', 'b10', 'b11']
    theirs = ['a00', 'b00', 'a10', 'b10', 'a01', 'b01', 'a11', 'b11']
    order = merge_like_theirs(torch.arange(8)[None])[0]
    assert [ours[index] for index in order] == theirs
    assert merge_like_ours(order[None])[0].tolist() == list(range(8))
