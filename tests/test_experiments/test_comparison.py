"""Scores of arms, and their differences seed by seed."""
from math import sqrt

import pytest
from scipy.stats import ttest_rel

from projects.mask_jepa.experiments.comparison import ArmScores, group_scores


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
