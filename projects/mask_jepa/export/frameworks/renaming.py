from collections import Counter
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from .name_table import Row, fill, match, without_numbers


class Written(NamedTuple):
    """What a file holds, and what its framework has no place for.

    Attributes:
        weights (dict[str, Tensor]): Named as in the framework.
        without_place (Counter): Number of our tensors that it has no place
            for, by name, with ``*`` where the names of several differ.
    """

    weights: Dict[str, Tensor]
    without_place: Counter


def rename_to_theirs(weights: Dict[str, Tensor], table: List[Row]) -> Written:
    """Name tensors as another framework does.

    Args:
        weights (dict[str, Tensor]): Named as in mmdet.
        table (list[Row]): The first row that fits counts.

    Returns:
        Written: The tensors, and by our name in the table what has no place.

    Raises:
        ValueError: If a tensor is in no row.
    """
    written = Written({}, Counter())
    for name, value in weights.items():
        each, _, parts = _find(name, ((each, each.ours) for each in table))
        if each is None:
            raise ValueError(
                f'{name} has no counterpart in that framework: only the '
                'architectures that both have can be converted.')
        if not each.theirs:
            written.without_place[without_numbers(each.ours)] += 1
            continue
        value = each.to_theirs(value)
        count = len(each.theirs)
        pieces = value.chunk(count) if count > 1 else [value]
        # Pieces of one tensor would share its memory, and its whole file.
        written.weights.update((fill(template, parts), piece.clone())
                               for template, piece in zip(each.theirs, pieces))
    return written


def rename_to_ours(weights: Dict[str, Tensor],
                   table: List[Row]) -> Tuple[Dict[str, Tensor], List[str]]:
    """Name tensors of another framework as mmdet does.

    Args:
        weights (dict[str, Tensor]): Of the other framework.
        table (list[Row]): The first row that fits counts.

    Returns:
        tuple[dict[str, Tensor], list[str]]: Tensors named as in mmdet, and
        the names that are in no row.

    Raises:
        ValueError: If a part of one of our tensors is missing.
    """
    renamed, unknown = {}, []
    for name, value in weights.items():
        each, template, parts = _find(name, ((each, template) for each in table
                                             for template in each.theirs))
        if each is None:
            unknown.append(name)
            continue
        if template != each.theirs[0]:  # It was taken with the first piece.
            continue
        names = [fill(piece, parts) for piece in each.theirs]
        missing = [piece for piece in names if piece not in weights]
        if missing:
            raise ValueError(f'The weights hold {name}, but not '
                             f'{", ".join(missing)}.')
        stacked = value if len(names) == 1 else torch.cat(
            [weights[piece] for piece in names])
        renamed[fill(each.ours, parts)] = each.to_ours(stacked)
    return renamed, unknown


def _find(
    name: str, templates: Iterable[Tuple[Row, str]]
) -> Tuple[Optional[Row], str, Tuple[str, ...]]:
    """Find the first template that fits, and what its wildcards stand for."""
    for each, template in templates:
        parts = match(template, name)
        if parts is not None:
            return each, template, parts
    return None, '', ()
