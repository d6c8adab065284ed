from typing import Dict

from matplotlib.figure import Figure

# What is drawn, and how to read it.
PANELS = dict(
    loss_jepa='JEPA loss (weighted)',
    target_std='spread of the target (1 isotropic, 0 collapsed)',
    target_rank='effective rank of the target',
    target_cosine_between='cosine between images (1: all alike)',
    queries_used='share of the queries that own a place',
    leak='leak (0: nothing hidden is seen)')


def draw_health(runs: Dict[str, Dict[int, Dict[str, float]]]) -> Figure:
    """Draw what tells a healthy run from a collapsed one.

    Args:
        runs (dict[str, dict]): By name, the training log by iteration.

    Returns:
        Figure: Ready to be saved.
    """
    figure = Figure(figsize=(12, 6), layout='constrained')
    axes = figure.subplots(2, 3).ravel()
    for axis, (key, title) in zip(axes, PANELS.items()):
        for name, rows in runs.items():
            values = {
                step: row[key]
                for step, row in rows.items() if row.get(key) is not None
            }
            axis.plot(
                list(values), list(values.values()), label=name, linewidth=1.5)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel('iteration', fontsize=8)
        axis.tick_params(labelsize=8)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc='outside lower center',
        ncols=min(len(runs), 4),
        fontsize=9)
    return figure
