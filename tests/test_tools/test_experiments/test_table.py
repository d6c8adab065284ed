"""The results as a Markdown table."""
from comparison import ArmScores, Cell
from table import make_tables

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
