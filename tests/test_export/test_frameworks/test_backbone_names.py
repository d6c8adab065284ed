"""The order in which Swin merges places, worked by hand."""
import torch

from projects.mask_jepa.export.frameworks.backbone_names import (
    merge_like_ours, merge_like_theirs)


def test_merged_places_worked_by_hand():
    """Two channels a, b at the places of a 2x2 cell."""
    ours = ['a00', 'a01', 'a10', 'a11', 'b00', 'b01', 'b10', 'b11']
    theirs = ['a00', 'b00', 'a10', 'b10', 'a01', 'b01', 'a11', 'b11']
    order = merge_like_theirs(torch.arange(8)[None])[0]
    assert [ours[index] for index in order] == theirs
    assert merge_like_ours(order[None])[0].tolist() == list(range(8))
