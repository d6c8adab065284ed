import json
from itertools import cycle
from math import isfinite
from operator import itemgetter
from typing import Dict, List, NamedTuple, Optional, Tuple

import plotly.graph_objects as go

from .chart_groups import PROBE_GROUPS, TRAINING_GROUPS, ChartGroup, group_keys
from .run_records import Row, RunRecords

# Told apart on a light and on a dark page, also by most colour-blind people.
COLOURS = ('#3b7dd8', '#e07b28', '#2a9d6f', '#c94f7c', '#8a63d2', '#b08a1e',
           '#1f9bb5', '#7d8590')
MAX_POINTS = 1000  # of a curve; more than the pixels of a chart
FEW_POINTS = 40  # that are marked one by one
FEW_CURVES = 6  # whose legend leaves room for them
HEIGHT, ROW_HEIGHT = 340, 20  # pixels, of a chart and a row of its legend

Point = Tuple[int, Optional[float]]


class Chart(NamedTuple):
    """One chart of the page."""

    title: str
    note: str  # what it shows, in one sentence
    height: int  # pixels
    figure: Dict  # data and layout for plotly.js, plain types only


def draw_charts(run: RunRecords) -> List[Chart]:
    """Draw the curves of a run: losses first, then the probe, then all else.

    They lack the colours of text and ground, which the page sets.
    """
    # How long a validation took is no result of it.
    validation = {
        step: {
            key: value
            for key, value in row.items() if key not in ('time', 'data_time')
        }
        for step, row in run.validation.items()
    }
    training, probe = ([
        _draw_chart(group, labels, rows)
        for group, labels in group_keys(rows, groups)
    ] for rows, groups in ((run.training, TRAINING_GROUPS), (validation,
                                                             PROBE_GROUPS)))
    return training[:1] + probe + training[1:]


def thin(points: List[Point], limit: int = MAX_POINTS) -> List[Point]:
    """Leave out points of a long curve, but no peak, valley or gap.

    About ``limit`` points stay: of each stretch the lowest and the highest
    one, and the first gap.
    """
    if len(points) <= limit:
        return points
    length = -(-2 * len(points) // limit)
    kept = []
    for begin in range(0, len(points), length):
        stretch = points[begin:begin + length]
        drawn = [point for point in stretch if point[1] is not None]
        gaps = [point for point in stretch if point[1] is None]
        ends = [end(drawn, key=itemgetter(1))
                for end in (min, max)] if drawn else []
        kept += sorted({*ends, *gaps[:1]}, key=itemgetter(0))
    return kept


def _draw_chart(group: ChartGroup, labels: Dict[str, str],
                rows: Dict[int, Row]) -> Chart:
    """Draw the curves of some keys of a log, given with their labels."""
    figure = go.Figure(layout=dict(template=go.layout.Template()))
    curves = dict.fromkeys(map(_curve_of, labels.values()))
    colours = dict(zip(curves, cycle(COLOURS)))
    for key, label in labels.items():
        steps, values = zip(*thin([(step, _drawable(row[key]))
                                   for step, row in rows.items()
                                   if key in row]))
        is_start = label != _curve_of(label)
        figure.add_trace(
            go.Scatter(
                x=steps,
                y=values,
                name=label,
                mode='lines+markers'
                if len(steps) <= FEW_POINTS and not is_start else 'lines',
                line=dict(
                    color=colours[_curve_of(label)],
                    width=2,
                    dash='dot' if is_start else 'solid'),
                marker_size=5,
                showlegend=not is_start,
                hovertemplate='%{y:.4~g}'))
    figure.update_layout(
        autosize=True,
        hovermode='x unified',
        hoverdistance=-1,  # the nearest point, however far
        showlegend=len(labels) > 1,
        margin=dict(l=8, r=16, t=8, b=8),
        legend=dict(
            orientation='h', yref='container', y=0, yanchor='bottom', x=0),
        xaxis=dict(
            title='iteration',
            unifiedhovertitle_text='iteration %{x:,d}',
            automargin=True),
        yaxis=dict(
            automargin=True,
            tickformat='~g',
            type='log' if group.axis == 'log' else 'linear',
            rangemode='tozero' if group.axis == 'zero' else 'normal'))
    height = HEIGHT + ROW_HEIGHT * max(len(curves) - FEW_CURVES, 0) // 2
    return Chart(group.title, group.note, height, json.loads(figure.to_json()))


def _curve_of(label: str) -> str:
    """Name the curve of 'linear', and of 'initial_linear', its start."""
    return label.replace('initial_', '')


def _drawable(value: object) -> Optional[float]:
    """Keep a finite number; None, a gap in the curve, for all else."""
    is_number = isinstance(value, (int, float)) and isfinite(value)
    return value if is_number else None
