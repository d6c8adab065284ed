import re
from collections import Counter
from itertools import chain
from typing import (Callable, Dict, Iterable, List, NamedTuple, Optional,
                    Sequence, Tuple)

import torch
from torch import Tensor

# A word, or a number; with what it is multiplied and what is added.
WILDCARD = re.compile(r'\*|(\d*)#(?:\+(\d+))?')


def unchanged(value: Tensor) -> Tensor:
    """Leave a tensor as it is."""
    return value


class Row(NamedTuple):
    """One line of a name table.

    Attributes:
        ours (str): Name in mmdet. Each ``*`` stands for a word between dots,
            or a part of one, and each ``#`` for a number, the same on both
            sides; ``2#+1`` is twice that number and one more.
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


def name_tables(frameworks: Sequence[str], *groups:
                List[List[Row]]) -> Dict[str, List[Row]]:
    """Make a table for each framework of one with a column for each.

    The columns after ours are of the frameworks; the groups, made by
    :func:`below`, follow each other.
    """
    return {
        framework: [*chain(*rows)]
        for framework, rows in zip(frameworks, zip(*groups))
    }


def below(prefixes: Sequence[Optional[str]],
          *names: Sequence[Optional[str]],
          to_theirs: Callable[[Tensor], Tensor] = unchanged,
          to_ours: Callable[[Tensor], Tensor] = unchanged) -> List[List[Row]]:
    """Name tensors below common prefixes, for each framework.

    Args:
        prefixes (Sequence[str | None]): Of our names, then of those in each
            framework; None where nothing of this is for it.
        *names (Sequence[str | None]): The same for each tensor, as in
            :class:`Row`. Several of theirs are written as ``{q,k,v}.*``; None
            stands for none.
        to_theirs (Callable): As in :class:`Row`, like ``to_ours``.
    """
    ours, *theirs = prefixes
    return [[
        Row(ours + name[0], _pieces(prefix, name[column]), to_theirs, to_ours)
        for name in names if prefix is not None
    ] for column, prefix in enumerate(theirs, 1)]


def match(template: str, name: str) -> Optional[Tuple[str, ...]]:
    """Find the words and numbers that the wildcards of a template stand for.

    None if the name is another.
    """
    pattern = WILDCARD.sub(
        lambda wildcard: r'([^.]+)' if wildcard[0] == '*' else r'(\d+)',
        template.replace('.', r'\.'))
    found = re.fullmatch(pattern, name)
    if found is None:
        return None
    parts = []
    for wildcard, part in zip(WILDCARD.finditer(template), found.groups()):
        if wildcard[0] != '*':
            number, rest = divmod(
                int(part) - int(wildcard[2] or 0), int(wildcard[1] or 1))
            if rest or number < 0:
                return None
            part = str(number)
        parts.append(part)
    return tuple(parts)


def fill(template: str, parts: Sequence[str]) -> str:
    """Put what :func:`match` gives in place of a template's wildcards."""
    filled = iter(parts)

    def value(wildcard: re.Match) -> str:
        part = next(filled)
        return part if wildcard[0] == '*' else str(
            int(wildcard[1] or 1) * int(part) + int(wildcard[2] or 0))

    return WILDCARD.sub(value, template)


def without_numbers(template: str) -> str:
    """Write ``*`` for every wildcard and number of a template."""
    return re.sub(rf'{WILDCARD.pattern}|\d+', '*', template)


def _pieces(prefix: str, name: Optional[str]) -> Tuple[str, ...]:
    """Expand the braces as a shell does."""
    if name is None:
        return ()
    before, _, rest = name.partition('{')
    choices, _, after = rest.partition('}')
    return tuple(f'{prefix}{before}{choice}{after}'
                 for choice in choices.split(','))


class Written(NamedTuple):
    """What a file holds, and what its framework has no place for."""

    weights: Dict[str, Tensor]  # named as in the framework
    # number of our tensors by name, with `*` where names differ
    without_place: Counter


def rename_to_theirs(weights: Dict[str, Tensor], table: List[Row]) -> Written:
    """Name tensors as another framework does, by the first row that fits.

    What has no place is counted by our name in the table.

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
    """Name tensors as mmdet does, by the first row that fits.

    Returns:
        tuple: Tensors named as in mmdet, and the names that are in no row.

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
