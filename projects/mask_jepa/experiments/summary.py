from typing import List, Optional

from matplotlib.figure import Figure

from .comparison import Cell, Difference

ARM_HEIGHT, PANEL_WIDTH = 0.4, 6.0  # inches


def make_tables(cells: List[Cell], compare_with: List[str]) -> str:
    """Write a Markdown table for each task and number of labels.

    Each has a title above and a column of differences from each of some arms.
    """
    return '\n'.join(_make_table(cell, compare_with) for cell in cells)


def _make_table(cell: Cell, compare_with: List[str]) -> str:
    head = ['arm', cell.metric, 'seeds', *(f'− {arm}' for arm in compare_with)]
    rows = [head, ['---'] * len(head)]
    for arm in cell.arms:
        spread = '' if arm.std is None else f' ± {arm.std:.1f}'
        row = [arm.arm, f'{arm.mean:.1f}{spread}', str(len(arm.scores))]
        for name in compare_with:
            other = cell.find(name)
            same = other is None or other.arm == arm.arm
            row.append('' if same else _write_difference(arm.minus(other)))
        rows.append(row)
    lines = '\n'.join(f'| {" | ".join(row)} |' for row in rows)
    return f'**{cell.task}, {cell.labels} labelled images**\n\n{lines}\n'


def _write_difference(difference: Optional[Difference]) -> str:
    if difference is None:
        return ''
    text = f'{difference.mean:+.1f}'
    if difference.interval:
        low, high = difference.interval
        text += f' [{low:+.1f}, {high:+.1f}]'
    return text + f', better in {difference.wins}/{difference.count}'


def draw(cells: List[Cell], reference: str, title: str) -> Figure:
    """Draw a panel for each task and number of labels.

    Left the scores, a dot for each seed and a bar for the mean; right the
    paired differences from the reference arm, with their 95 % interval.
    """
    heights = [len(cell.arms) * ARM_HEIGHT + 0.8 for cell in cells]
    figure = Figure(
        figsize=(2 * PANEL_WIDTH, sum(heights) + 0.6), layout='constrained')
    figure.suptitle(title)
    panels = figure.subplots(
        len(cells), 2, squeeze=False, gridspec_kw=dict(height_ratios=heights))
    for cell, (scores, differences) in zip(cells, panels):
        _draw_scores(scores, cell)
        _draw_differences(differences, cell, reference)
    return figure


def _draw_scores(axes, cell: Cell) -> None:
    for row, arm in enumerate(cell.arms):
        values = list(arm.scores.values())
        axes.plot(values, [row] * len(values), 'o', alpha=0.5, color='C0')
        axes.plot(arm.mean, row, '|', markersize=18, color='black')
    _label(axes, f'{cell.metric}: seeds, and their mean',
           [arm.arm for arm in cell.arms])
    axes.set_title(f'{cell.task}, {cell.labels} labelled images', loc='left')


def _draw_differences(axes, cell: Cell, reference: str) -> None:
    other = cell.find(reference)
    for row, arm in enumerate(cell.arms):
        difference = other and arm.minus(other)
        if not difference or arm.arm == reference:
            continue
        # Better or worse only where the whole interval says so.
        color = 'grey'
        if difference.interval:
            low, high = difference.interval
            color = 'C2' if low > 0 else 'C3' if high < 0 else 'grey'
            axes.plot((low, high), [row, row], color=color)
        axes.plot(difference.mean, row, 'o', color=color)
    axes.axvline(0, color='grey', linewidth=1)
    _label(axes, f'difference from {reference}, paired, 95 % interval',
           [''] * len(cell.arms))


def _label(axes, label: str, names: List[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(label)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis='x', alpha=0.3)
