"""Scores against steps: how soon an arm reaches what another ends with."""
from statistics import mean
from typing import Dict, List, Optional, Tuple

from matplotlib.figure import Figure

PANEL_SIZE = 6.0, 3.5  # inches


def draw_curves(results: List[dict], reference: str,
                title: str) -> Optional[Figure]:
    """Draw a panel for each task and number of labels, a line for each arm.

    Thin lines are the seeds, thick ones their mean; the dashed line is what
    the reference arm ends with, in the mean.

    Args:
        results (list[dict]): Of fine-tunings, with their ``curve``: score by
            iteration.
        reference (str): Name of an arm.
        title (str): Of the picture.

    Returns:
        Figure: None where no fine-tuning was scored on its way.
    """
    panels: Dict[Tuple[str, int], List[dict]] = {}
    for result in results:
        if len(result.get('curve', ())) > 1:
            place = result['task'], result['labels']
            panels.setdefault(place, []).append(result)
    if not panels:
        return None
    width, height = PANEL_SIZE
    figure = Figure(
        figsize=(width, height * len(panels) + 0.4), layout='constrained')
    figure.suptitle(title)
    rows = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (place, found) in zip(rows, panels.items()):
        _draw_panel(axes, found, reference)
        axes.set_title('{}, {} labelled images'.format(*place), loc='left')
    return figure


def _draw_panel(axes, results: List[dict], reference: str) -> None:
    arms: Dict[str, List[Dict[int, float]]] = {}
    for result in results:
        curve = {int(step): score for step, score in result['curve'].items()}
        arms.setdefault(result['arm'], []).append(curve)
    for index, (arm, curves) in enumerate(arms.items()):
        color = f'C{index}'
        for curve in curves:
            axes.plot(*zip(*sorted(curve.items())), color=color, alpha=0.3)
        # Where all seeds were scored.
        steps = sorted(set.intersection(*map(set, curves)))
        means = [mean(curve[step] for curve in curves) for step in steps]
        axes.plot(steps, means, 'o-', color=color, linewidth=2.5, label=arm)
        if arm == reference and means:
            axes.axhline(means[-1], color=color, linestyle='--', linewidth=1)
    axes.set_xlabel('steps of fine-tuning')
    axes.set_ylabel(results[0]['metric'])
    axes.grid(alpha=0.3)
    axes.legend()
