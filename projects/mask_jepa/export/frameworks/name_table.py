import re
from collections import Counter
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor


def unchanged(value: Tensor) -> Tensor:
    """Leave a tensor as it is."""
    return value


class Row(NamedTuple):
    """One line of a name table.

    Attributes:
        ours (str): Name in mmdet. Each ``*`` stands for what a part of the
            name holds, the same on both sides.
        theirs (tuple[str]): Name in the other framework; several where our
            tensor is theirs stacked along the first dimension, none where
            they need no such tensor.
        to_theirs (Callable): Order of the values in the other framework.
        to_ours (Callable): Its inverse.
    """

    ours: str
    theirs: Tuple[str, ...]
    to_theirs: Callable[[Tensor], Tensor] = unchanged
    to_ours: Callable[[Tensor], Tensor] = unchanged


def row(ours: str, *theirs: str) -> Row:
    """Name a tensor whose values are the same in both frameworks."""
    return Row(ours, theirs)


def rename_to_theirs(weights: Dict[str, Tensor],
                     table: List[Row]) -> Dict[str, Tensor]:
    """Name tensors as another framework does.

    Args:
        weights (dict[str, Tensor]): Named as in mmdet.
        table (list[Row]): The first row that fits counts.

    Returns:
        dict[str, Tensor]: Of the other framework.

    Raises:
        ValueError: If a tensor is in no row.
    """
    renamed = {}
    for name, value in weights.items():
        each, parts = _find_row(name, table)
        names = [_fill(template, parts) for template in each.theirs]
        value = each.to_theirs(value)
        pieces = value.chunk(len(names)) if len(names) > 1 else [value]
        # Pieces of one tensor would share its memory, and its whole file.
        renamed.update((their_name, piece.clone())
                       for their_name, piece in zip(names, pieces))
    return renamed


def count_without_place(weights: Dict[str, Tensor],
                        table: List[Row]) -> Counter:
    """Count the tensors that another framework has no place for.

    Args:
        weights (dict[str, Tensor]): Named as in mmdet.
        table (list[Row]): The first row that fits counts.

    Returns:
        Counter: Number of tensors by our name in the table, with ``*`` for
        the numbers in it, too.

    Raises:
        ValueError: If a tensor is in no row.
    """
    rows = (_find_row(name, table)[0] for name in weights)
    return Counter(
        re.sub(r'\d+', '*', each.ours) for each in rows if not each.theirs)


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
        for each in table:
            place, parts = _find_place(each, name)
            if parts is not None:
                break
        else:
            unknown.append(name)
            continue
        if place:  # It was taken with the first of its pieces.
            continue
        names = [_fill(template, parts) for template in each.theirs]
        missing = [piece for piece in names if piece not in weights]
        if missing:
            raise ValueError(f'The weights hold {name}, but not '
                             f'{", ".join(missing)}.')
        stacked = value if len(names) == 1 else torch.cat(
            [weights[piece] for piece in names])
        renamed[_fill(each.ours, parts)] = each.to_ours(stacked)
    return renamed, unknown


def _find_row(name: str, table: List[Row]) -> Tuple[Row, Tuple[str, ...]]:
    for each in table:
        parts = _match(each.ours, name)
        if parts is not None:
            return each, parts
    raise ValueError(f'{name} has no counterpart in that framework: only the '
                     'architectures that both have can be handed over.')


def _match(template: str, name: str) -> Optional[Tuple[str, ...]]:
    pattern = re.escape(template).replace(r'\*', r'([^.]+)')
    found = re.fullmatch(pattern, name)
    return None if found is None else found.groups()


def _find_place(each: Row,
                name: str) -> Tuple[int, Optional[Tuple[str, ...]]]:
    for place, template in enumerate(each.theirs):
        parts = _match(template, name)
        if parts is not None:
            return place, parts
    return 0, None


def _fill(template: str, parts: Tuple[str, ...]) -> str:
    filled = iter(parts)
    return re.sub(r'\*', lambda _: next(filled), template)
