"""The results as a Markdown table."""
from typing import List, Optional

from comparison import ArmScores, Cell, Difference


def make_tables(cells: List[Cell], compare_with: List[str]) -> str:
    """Write a table for each task and number of labels.

    Args:
        cells (list[Cell]): What came out.
        compare_with (list[str]): Arms with a column of differences each.

    Returns:
        str: Markdown.
    """
    return '\n'.join(make_table(cell, compare_with) for cell in cells)


def make_table(cell: Cell, compare_with: List[str]) -> str:
    """Write the table of one task and number of labels.

    Args:
        cell (Cell): What came out.
        compare_with (list[str]): Arms with a column of differences each.

    Returns:
        str: Markdown, with a title of its own.
    """
    head = ['arm', cell.metric, 'seeds', *(f'− {arm}' for arm in compare_with)]
    rows = [head, ['---'] * len(head)]
    for arm in cell.arms:
        row = [arm.arm, _scores(arm), str(len(arm.scores))]
        for name in compare_with:
            other = cell.find(name)
            same = other is None or other.arm == arm.arm
            row.append('' if same else _difference(arm.minus(other)))
        rows.append(row)
    lines = '\n'.join(f'| {" | ".join(row)} |' for row in rows)
    return (f'**{cell.task}, {cell.labels} labelled images**\n\n{lines}\n')


def _scores(arm: ArmScores) -> str:
    spread = '' if arm.std is None else f' ± {arm.std:.1f}'
    return f'{arm.mean:.1f}{spread}'


def _difference(difference: Optional[Difference]) -> str:
    if difference is None:
        return ''
    text = f'{difference.mean:+.1f}'
    if difference.interval:
        low, high = difference.interval
        text += f' [{low:+.1f}, {high:+.1f}]'
    return text + f', better in {difference.wins}/{difference.count}'
