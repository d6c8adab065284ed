"""The scores as a Markdown table, and as a picture."""
import pytest
from scipy.stats import ttest_rel

from projects.mask_jepa.experiments.comparison import ArmScores, Cell
from projects.mask_jepa.experiments.summary import draw, make_tables

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
