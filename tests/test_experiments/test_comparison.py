"""Scores of arms, their differences seed by seed, and how they are shown."""
import json
from math import sqrt
from pathlib import Path

import pytest
from matplotlib.image import imread
from scipy.stats import ttest_rel

from mask_jepa.experiments import RunStore, read_experiment, write_results
from mask_jepa.experiments.comparison import (ArmScores, Cell, draw,
                                              group_scores, make_tables)

CELLS = [
    Cell('streets', 4, 'mIoU', [
        ArmScores('none', {0: 10.0, 1: 20.0}),
        ArmScores('ours', {0: 11.0, 1: 23.0}),
        ArmScores('theirs', {1: 19.0}),
        ArmScores('late', {5: 12.34}),
    ]),
    Cell('houses', 9, 'coco/segm_mAP', [ArmScores('ours', {0: 1.26})]),
]

TABLES = """\
**streets, 4 labelled images**

| arm | mIoU | seeds | − none | − ours |
| --- | --- | --- | --- | --- |
| none | 15.0 ± 7.1 | 2 |  | -2.0 [-14.7, +10.7], better in 0/2 |
| ours | 17.0 ± 8.5 | 2 | +2.0 [-10.7, +14.7], better in 2/2 |  |
| theirs | 19.0 | 1 | -1.0, better in 0/1 | -4.0, better in 0/1 |
| late | 12.3 | 1 |  |  |

**houses, 9 labelled images**

| arm | coco/segm_mAP | seeds | − none | − ours |
| --- | --- | --- | --- | --- |
| ours | 1.3 | 1 |  |  |
"""


def test_interval_is_that_of_the_paired_t_test():
    ours = [41.0, 38.5, 44.0, 40.2, 39.9]
    theirs = [39.0, 39.0, 40.5, 38.9, 40.0]
    difference = ArmScores('ours', dict(enumerate(ours))).minus(
        ArmScores('theirs', dict(enumerate(theirs))))
    expected = ttest_rel(ours, theirs).confidence_interval(0.95)
    assert difference.interval == pytest.approx(tuple(expected))
    assert difference.mean == pytest.approx(1.24)
    assert (difference.wins, difference.count) == (3, 5)


def test_two_seeds_by_hand():
    """Student's t of one degree of freedom is 12.706."""
    difference = ArmScores('a', {0: 11.0, 1: 23.0}).minus(
        ArmScores('b', {0: 10.0, 1: 20.0}))
    # The differences are 1 and 3, with a standard error of 1.
    assert difference.mean == 2
    assert difference.interval == pytest.approx((-10.706, 14.706), abs=1e-3)


def test_only_common_seeds_are_paired():
    ours = ArmScores('ours', {2: 5.0, 0: 1.0, 7: 100.0})
    theirs = ArmScores('theirs', {0: 2.0, 1: -50.0, 2: 4.0})
    difference = ours.minus(theirs)
    assert (difference.mean, difference.wins, difference.count) == (0, 1, 2)
    assert ours.minus(ArmScores('other', {1: 1.0, 3: 1.0})) is None


def test_a_single_seed_has_no_interval():
    arm = ArmScores('ours', {3: 5.0})
    assert arm.std is None
    difference = arm.minus(ArmScores('theirs', {3: 5.5, 4: 6.0}))
    assert difference == (-0.5, None, 0, 1)


def test_equal_scores_are_no_wins():
    arm = ArmScores('ours', {0: 5.0, 1: 6.0})
    assert arm.minus(arm) == (0, (0, 0), 0, 2)


def test_mean_and_spread_of_an_arm():
    arm = ArmScores('ours', {0: 1.0, 1: 2.0, 2: 6.0})
    assert arm.mean == 3
    assert arm.std == pytest.approx(sqrt((4 + 1 + 9) / 2))


def result(task, labels, arm, seed, score):
    return dict(
        task=task,
        labels=labels,
        arm=arm,
        seed=seed,
        score=score,
        metric=f'metric of {task}',
        seconds=1)


def test_scores_are_grouped_by_task_and_labels():
    cells = group_scores([
        result('streets', 16, 'none', 0, 1.0),
        result('streets', 16, 'ours', 0, 2.0),
        result('streets', 4, 'none', 0, 3.0),
        result('houses', 100, 'ours', 0, 4.0),
        result('houses', 9, 'none', 0, 5.0),
        result('streets', 16, 'none', 1, 6.0),
    ])
    # Tasks as they come, numbers of labels by size.
    assert [(cell.task, cell.labels, cell.metric) for cell in cells] == [
        ('streets', 4, 'metric of streets'),
        ('streets', 16, 'metric of streets'),
        ('houses', 9, 'metric of houses'),
        ('houses', 100, 'metric of houses'),
    ]
    assert cells[1].arms == [('none', {0: 1.0, 1: 6.0}), ('ours', {0: 2.0})]
    assert cells[1].find('ours').scores == {0: 2.0}
    assert cells[0].find('ours') is None


def test_tables_are_these():
    """Empty is an arm against itself, and what has no common seed."""
    assert make_tables(CELLS, ['none', 'ours']) == TABLES


NONE = {0: 10.0, 1: 20.0, 2: 14.0}
OURS = {0: 12.0, 1: 21.0, 2: 15.5}
PANELS = [
    Cell('streets', 4, 'mIoU', [
        ArmScores('none', NONE),
        ArmScores('ours', OURS),
        ArmScores('theirs', {1: 19.0}),
    ]),
    Cell('streets', 16, 'mIoU', [ArmScores('ours', OURS)]),
]


@pytest.fixture
def panels():
    """Panels by row, as (scores, differences)."""
    axes = draw(PANELS, 'none', 'Does it help?').axes
    return list(zip(axes[::2], axes[1::2]))


def points(axes, marker, row):
    """Where a row has this marker, from left to right."""
    return sorted(
        float(x) for line in axes.lines if line.get_marker() == marker
        for x, y in zip(line.get_xdata(), line.get_ydata()) if y == row)


def test_every_cell_has_its_two_panels(panels):
    assert len(panels) == 2
    titles = [scores.get_title(loc='left') for scores, _ in panels]
    assert titles == [
        'streets, 4 labelled images', 'streets, 16 labelled images'
    ]
    for scores, differences in panels:
        assert 'mIoU' in scores.get_xlabel()
        assert 'none' in differences.get_xlabel()
        # A row is as high up on the left as on the right.
        assert scores.get_ylim() == differences.get_ylim()


def test_scores_stand_in_the_row_of_their_arm(panels):
    scores, _ = panels[0]
    rows = {
        label.get_text(): int(place)
        for place, label in zip(scores.get_yticks(), scores.get_yticklabels())
    }
    assert list(rows) == ['none', 'ours', 'theirs']
    bottom, top = scores.get_ylim()
    assert bottom > rows['theirs'] > rows['ours'] > rows['none'] > top
    assert points(scores, 'o', rows['none']) == [10, 14, 20]
    assert points(scores, 'o', rows['ours']) == [12, 15.5, 21]
    assert points(scores, 'o', rows['theirs']) == [19]
    assert points(scores, '|', rows['none']) == pytest.approx([44 / 3])
    assert points(scores, '|', rows['theirs']) == [19]


def test_differences_stand_with_their_intervals(panels):
    _, differences = panels[0]
    assert points(differences, 'o', 0) == []
    assert points(differences, 'o', 1) == pytest.approx([1.5])
    assert points(differences, 'o', 2) == [-1]
    expected = ttest_rel(list(OURS.values()),
                         list(NONE.values())).confidence_interval(0.95)
    intervals = {
        line.get_ydata()[0]: list(line.get_xdata())
        for line in differences.lines
        if line.get_marker() == 'None' and len(set(line.get_xdata())) == 2
    }
    # A single seed has none.
    assert list(intervals) == [1]
    assert intervals[1] == pytest.approx(list(expected))


def test_without_the_reference_there_is_but_the_zero_line(panels):
    scores, differences = panels[1]
    assert points(scores, 'o', 0) == [12, 15.5, 21]
    line, = differences.lines
    assert list(line.get_xdata()) == [0, 0]


@pytest.mark.parametrize('scores, color', [
    ({0: 3.0, 1: 4.1, 2: 5.0}, 'C2'),
    ({0: -3.0, 1: -4.1, 2: -5.0}, 'C3'),
    ({0: 3.0, 1: -1.0, 2: 2.0}, 'grey'),
    ({0: 3.0}, 'grey'),
])
def test_colour_claims_no_more_than_the_interval(scores, color):
    arms = [ArmScores('none', {0: 0.0, 1: 0.0, 2: 0.0}),
            ArmScores('ours', scores)]
    figure = draw([Cell('streets', 8, 'mIoU', arms)], 'none', 'title')
    dot = next(line for line in figure.axes[1].lines
               if line.get_marker() == 'o')
    assert dot.get_color() == color


# What is known of an experiment, and the files that tell it.


def test_results_bear_the_names_of_this_experiment(write_plan, make):
    experiment = read_experiment(write_plan())
    store = RunStore('runs', 'results.json')
    make(experiment, store, 0, 10.0)
    make(experiment, store, 1, 12.0)

    def rename(plan):
        plan['arms']['mine'] = plan['arms'].pop('ours')
        plan['tasks']['roads'] = plan['tasks'].pop('streets')

    renamed = read_experiment(write_plan(rename))
    write_results(renamed, store, 'out')
    results = json.loads(Path('out/results.json').read_text())
    found = [(each['task'], each['arm'], each['labels'], each['seed'],
              each['score']) for each in results['runs']]
    assert found == [('roads', 'none', 4, 0, 10.0),
                     ('roads', 'mine', 4, 0, 12.0)]
    assert results['experiment'] == 'small'
    assert results['question'] == 'Does it help?'
    assert results['images_seen'] == dict(ours=6)
    tables = Path('out/table.md').read_text()
    assert '| mine | 12.0 | 1 | +2.0, better in 1/1 |' in tables
    assert imread('out/plot.png').shape[1] == 1200


def test_without_a_score_nothing_is_written(write_plan):
    experiment = read_experiment(write_plan())
    store = RunStore('runs', 'results.json')
    write_results(experiment, store, 'out')
    assert not Path('out').exists()


def test_published_scores_outlive_a_change_of_config(write_plan, make):
    experiment = read_experiment(write_plan())
    make(experiment, RunStore('runs', ''), 0, 10.0)
    write_results(experiment, RunStore('runs', ''), 'out')
    old, = json.loads(Path('out/results.json').read_text())['runs']

    def published():
        content = json.loads(Path('out/results.json').read_text())
        return content['runs'], content['earlier']

    with open('task.py', 'a') as file:
        file.write('optim_wrapper = dict(lr=2.0)\n')
    changed = read_experiment('small.py')
    # Neither where nothing of the new is known, nor where something is.
    write_results(changed, RunStore('others', 'out/results.json'), 'out')
    assert published() == ([old], [])
    make(changed, RunStore('others', ''), 0, 11.0)
    for _ in range(2):
        write_results(changed, RunStore('others', 'out/results.json'), 'out')
        (new, ), earlier = published()
        assert (new['score'], earlier) == (11.0, [old])
    # The change is taken back.
    write_results(experiment, RunStore('none', 'out/results.json'), 'out')
    assert published() == ([old], [new])
