from statistics import mean, stdev
from typing import Dict, List, NamedTuple, Optional, Tuple

from matplotlib.figure import Figure
from scipy.stats import sem
from scipy.stats import t as student_t

ARM_HEIGHT, PANEL_WIDTH = 0.4, 6.0  # inches, of the picture


class Difference(NamedTuple):
    """An arm against another one, paired by seed."""

    mean: float
    # 95 % interval of the mean, by Student's t; None with a single seed
    interval: Optional[Tuple[float, float]]
    wins: int  # seeds in which the arm is better
    count: int  # seeds that both arms have


class ArmScores(NamedTuple):
    """All scores of an arm at one task and number of labels."""

    arm: str
    scores: Dict[int, float]  # by seed

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return mean(self.scores.values())

    @property
    def std(self) -> Optional[float]:
        """Sample standard deviation; None with a single seed."""
        return stdev(self.scores.values()) if len(self.scores) > 1 else None

    def minus(self, other: 'ArmScores') -> Optional[Difference]:
        """Compare with another arm of the cell; None without common seeds."""
        seeds = sorted(self.scores.keys() & other.scores.keys())
        if not seeds:
            return None
        differences = [
            self.scores[seed] - other.scores[seed] for seed in seeds
        ]
        interval = None
        if len(seeds) > 1:
            half = student_t.ppf(0.975, len(seeds) - 1) * sem(differences)
            interval = (mean(differences) - half, mean(differences) + half)
        return Difference(
            mean(differences), interval,
            sum(difference > 0 for difference in differences), len(seeds))


class Cell(NamedTuple):
    """One task with one number of labels."""

    task: str
    labels: int
    metric: str
    arms: List[ArmScores]  # in the experiment's order

    def find(self, arm: str) -> Optional[ArmScores]:
        """Look up an arm by its name; None if it has no score here."""
        return next((each for each in self.arms if each.arm == arm), None)


def group_scores(results: List[dict]) -> List[Cell]:
    """Sort results of fine-tunings by task, labels and arm.

    They are as :class:`RunStore` keeps them, in the experiment's order; the
    tasks keep their order, each with few labels first.
    """
    grouped: Dict[tuple, Dict[str, Dict[int, float]]] = {}
    for result in results:
        key = result['task'], result['labels'], result['metric']
        arms = grouped.setdefault(key, {})
        arms.setdefault(result['arm'], {})[result['seed']] = result['score']
    tasks = list(dict.fromkeys(result['task'] for result in results))
    order = sorted(grouped, key=lambda key: (tasks.index(key[0]), key[1]))
    return [
        Cell(*key,
             [ArmScores(arm, scores) for arm, scores in grouped[key].items()])
        for key in order
    ]


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
