from math import inf, nan

import pytest

from mask_jepa.report import read_run
from mask_jepa.report.charts import draw_charts, thin


@pytest.fixture
def charts(run):
    return {chart.title: chart for chart in draw_charts(run)}


def curves(chart):
    return {curve['name']: curve for curve in chart.figure['data']}


def test_every_key_has_its_chart(charts):
    assert list(charts) == [
        'Losses', 'Probe', 'Probe by level', 'Effective rank',
        'Spread of the features', 'Cosine similarity', 'Size of the features',
        'Mask entropy', 'Queries and places', 'Leak', 'Gradient norms',
        'Update ratios', 'Learning rate', 'Query noise',
        'Momentum of the target', 'Seconds per iteration', 'Memory',
        'Share of monitoring', 'Other'
    ]
    assert list(curves(charts['Losses'])) == ['loss', 'jepa']
    assert list(curves(charts['Size of the features'])) == [
        'target', 'online'
    ]
    assert 'grad_norm' in curves(charts['Gradient norms'])
    assert list(curves(charts['Other'])) == ['surprise']


def test_curve_holds_the_log(charts):
    loss = curves(charts['Losses'])['loss']
    assert loss['x'] == [20, 40, 60]
    assert loss['y'] == [1.05, 1.025, None]  # NaN is a gap
    start = curves(charts['Probe'])['initial_linear']
    linear = curves(charts['Probe'])['linear']
    assert start['line']['dash'] == 'dot'
    assert start['line']['color'] == linear['line']['color']
    assert linear['line']['color'] != curves(
        charts['Probe'])['knn']['line']['color']


def test_values_that_cannot_be_drawn_break_nothing(begun_work_dir):
    run = read_run(str(begun_work_dir))._replace(
        training={1: dict(loss=nan, x=inf, words='a'), 2: dict(loss=None)},
        validation={1: {'probe/linear_mIoU': 'b', 'pretrain/error': 1}})
    titles = [chart.title for chart in draw_charts(run)]
    assert titles == ['Losses', 'Other validation results', 'Other']


def test_long_curve_keeps_its_peaks_and_gaps():
    points = [(step, step % 7) for step in range(50000)]
    points[777] = (777, 1000.0)
    points[31000] = (31000, -1000.0)
    points[40000] = (40000, None)
    thinned = thin(points, 1000)
    assert len(thinned) <= 1001
    assert {(777, 1000.0), (31000, -1000.0), (40000, None)} <= set(thinned)
    assert thinned == sorted(thinned, key=lambda point: point[0])
    assert thin(points[:1000], 1000) == points[:1000]
