import re
from itertools import chain
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

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

    Args:
        frameworks (Sequence[str]): What the columns after ours are of.
        groups (list[list[Row]]): As made by :func:`below`, in order.

    Returns:
        dict[str, list[Row]]: The tables.
    """
    return {
        framework: [*chain(*rows)]
        for framework, rows in zip(frameworks, zip(*groups))
    }


def below(prefixes: Sequence[Optional[str]],
          *names: Sequence[Optional[str]],
          to_theirs: Callable[[Tensor], Tensor] = unchanged,
          to_ours: Callable[[Tensor], Tensor] = unchanged) -> List[List[Row]]:
    """Name tensors below common prefixes.

    Args:
        prefixes (Sequence[str | None]): Of our names, then of those in each
            framework; None where nothing of this is for it.
        names (Sequence[str | None]): The same for each tensor, as in
            :class:`Row`. Several of theirs are written as ``{q,k,v}.*``; None
            stands for none.
        to_theirs (Callable): As in :class:`Row`.
        to_ours (Callable): Its inverse.

    Returns:
        list[list[Row]]: For each framework its rows.
    """
    ours, *theirs = prefixes
    return [[
        Row(ours + name[0], _pieces(prefix, name[column]), to_theirs, to_ours)
        for name in names if prefix is not None
    ] for column, prefix in enumerate(theirs, 1)]


def match(template: str, name: str) -> Optional[Tuple[str, ...]]:
    """Find what the wildcards of a template stand for in a name.

    Args:
        template (str): Name in a row.
        name (str): Name of a tensor.

    Returns:
        tuple[str] | None: A word or number for each; None if the name is
        another.
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
    """Put words and numbers in place of a template's wildcards.

    Args:
        template (str): Name in a row.
        parts (Sequence[str]): As found by :func:`match`.

    Returns:
        str: Name of a tensor.
    """
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
