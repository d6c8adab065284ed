"""Tables and pictures of what was measured."""
from typing import Dict

from matplotlib.figure import Figure
from rich.table import Table

from .scaling import COSTS

LABELS = dict(
    median_ms='ms a step',
    gflop='GFLOP a step',
    kept_for_backward_mb='MB kept for backward')
# Of a result, after its stages: key and what it is.
ROWS = dict(
    median_ms='whole step, ms',
    images_per_s='images/s',
    gflop='GFLOP',
    share_of_matmul_peak='share of the matrix products\' peak',
    state_mb='state, MB',
    kept_for_backward_mb='kept for backward, MB',
    memory_mb='both, MB',
    peak_gb='peak of the GPU\'s memory, GB',
    forward_host_syncs='host syncs, images to losses',
    forward_operator_calls='operator calls, images to losses',
    backward_operator_calls='operator calls, backward',
    host_syncs='host syncs, whole step with its copies',
    kernels='kernels',
    gpu_busy_share='share of the time in which the GPU works',
    optimizer_groups='groups of the optimiser')


def words(name: str) -> str:
    """Write a key as words."""
    return name.replace('_', ' ')


def make_comparison_table(results: Dict[str, dict], title: str) -> Table:
    """Make a table of results of :func:`measure`, an arm a column."""
    table = Table('', title=title)
    for name in results:
        table.add_column(words(name), justify='right')
    first = next(iter(results.values()))
    for stage in first['stages_ms']:
        table.add_row(
            f'{words(stage)}, ms',
            *(f'{each["stages_ms"][stage]:.0f}' for each in results.values()))
    table.add_section()
    for key, label in ROWS.items():
        if key in first:
            table.add_row(label,
                          *(f'{each[key]:,}' for each in results.values()))
    return table


def make_scaling_table(scaling: Dict[str, dict], title: str) -> Table:
    """Make a table of a result of :func:`measure_scaling`."""
    table = Table('', 'size', title=title)
    for name in COSTS:
        table.add_column(LABELS[name], justify='right')
    for axis, result in scaling.items():
        for point in result['points']:
            table.add_row(
                words(axis), f'{point["size"]:,}',
                *(f'{point[name]:,}' for name in COSTS))
        table.add_row('', 'doubled',
                      *(f'× {result["growth"][name]}' for name in COSTS))
        table.add_section()
    return table


def draw_comparison(results: Dict[str, dict], title: str) -> Figure:
    """Draw time by stage, and memory, of each arm."""
    figure = Figure(
        figsize=(12, 0.5 * len(results) + 1.8), layout='constrained')
    figure.suptitle(title)
    times, memory = figure.subplots(1, 2, sharey=True)
    names = [words(name) for name in results]
    stages = next(iter(results.values()))['stages_ms']
    _draw_stacked(
        times, names, {
            words(stage):
            [each['stages_ms'][stage] for each in results.values()]
            for stage in stages
        })
    times.set_xlabel('ms a step')
    _draw_stacked(
        memory, names, {
            label: [each[key] for each in results.values()]
            for key, label in (('state_mb', 'state'),
                               ('kept_for_backward_mb', 'kept for backward'))
        })
    memory.set_xlabel('MB')
    times.invert_yaxis()
    return figure


def _draw_stacked(axes, names: list, parts: Dict[str, list]) -> None:
    left = [0.0] * len(names)
    for index, (label, widths) in enumerate(parts.items()):
        axes.barh(names, widths, left=left, label=label, color=f'C{index}')
        left = [start + width for start, width in zip(left, widths)]
    axes.legend(fontsize='x-small', ncols=2)
    axes.grid(axis='x', alpha=0.3)


def draw_scaling(scaling: Dict[str, dict], title: str) -> Figure:
    """Draw each cost along each axis, relative to its smallest size; dashed
    what grows as the size does."""
    figure = Figure(figsize=(3.2 * len(scaling), 3.4), layout='constrained')
    figure.suptitle(title)
    panels = figure.subplots(1, len(scaling), squeeze=False)[0]
    for axes, (axis, result) in zip(panels, scaling.items()):
        points = result['points']
        sizes = [point['size'] / points[0]['size'] for point in points]
        for name in COSTS:
            axes.plot(
                sizes, [point[name] / points[0][name] for point in points],
                'o-',
                label=LABELS[name])
        axes.plot(sizes, sizes, '--', color='grey')
        axes.set_xscale('log', base=2)
        axes.set_yscale('log', base=2)
        axes.set_xlabel(f'{words(axis)}, from {points[0]["size"]:,}')
        axes.grid(alpha=0.3)
    panels[0].set_ylabel('times that of the smallest')
    panels[0].legend(fontsize='x-small')
    return figure
