"""Curves of scores over the steps."""
import json
from pathlib import Path

import pytest
from matplotlib.image import imread

from mask_jepa.experiments import RunStore, read_experiment, write_results
from mask_jepa.experiments.curves import draw_curves


def result(arm, seed, curve, labels=4):
    return dict(task='streets', labels=labels, arm=arm, seed=seed,
                metric='mIoU', curve=curve)


def test_lines_are_seeds_and_their_mean():
    figure = draw_curves([
        # As JSON gives them, and as they are read from a log.
        result('none', 0, {'1000': 30.0, '500': 10.0}),
        result('none', 1, {500: 20.0, 1000: 50.0}),
        result('ours', 0, {500: 40.0, 1000: 45.0}),
        result('none', 0, {500: 1.0, 1000: 2.0}, labels=8),
        result('none', 0, {500: 1.0}, labels=16),
    ], 'none', 'Does it help?')
    few, many = figure.axes
    assert few.get_title(loc='left') == 'streets, 4 labelled images'
    assert many.get_title(loc='left') == 'streets, 8 labelled images'
    lines = [(list(line.get_xdata()), list(line.get_ydata()))
             for line in few.lines]
    steps = [500, 1000]
    assert lines[:2] == [(steps, [10, 30]), (steps, [20, 50])]
    assert lines[2] == (steps, [15, 40])
    assert lines[3][1] == [40, 40]  # what the reference ends with
    assert lines[4:] == [(steps, [40, 45])] * 2
    handles, names = few.get_legend_handles_labels()
    assert names == ['none', 'ours']
    assert handles[0].get_color() != handles[1].get_color()


def test_mean_is_of_steps_that_all_seeds_have():
    figure = draw_curves([
        result('ours', 0, {500: 40.0, 1000: 45.0, 1500: 46.0}),
        result('ours', 1, {500: 20.0, 1500: 26.0}),
    ], 'none', '')
    assert list(figure.axes[0].lines[2].get_xdata()) == [500, 1500]
    assert list(figure.axes[0].lines[2].get_ydata()) == [30, 36]


@pytest.mark.parametrize('results', [[], [result('ours', 0, {300: 40.0})]])
def test_final_scores_alone_are_no_curve(results):
    assert draw_curves(results, 'none', '') is None


def test_lie_beside_the_other_pictures(write_plan, make):
    experiment = read_experiment(write_plan())
    store = RunStore('runs', '')
    make(experiment, store, 0, 10.0)
    write_results(experiment, store, 'out')
    assert Path('out/plot.png').exists()
    assert not Path('out/curves.png').exists()
    path = Path(store.folder(experiment.finetunings[0]), 'result.json')
    result = dict(json.loads(path.read_text()), curve={1: 8.0, 2: 10.0})
    path.write_text(json.dumps(result))
    write_results(experiment, store, 'out')
    assert imread('out/curves.png').shape[1] == 600
