import pytest

from projects.mask_jepa.report.summary import (ProbeScore, probe_scores,
                                               throughput_facts)


def test_probe_is_compared_with_its_start(run):
    linear, knn = probe_scores(run.validation)
    assert linear == ProbeScore('Linear', 15.25, 21.5, 60, 24.0, 40)
    assert linear.gain == 6.25
    assert knn == ProbeScore('k nearest neighbours', 12.5, 13.0, 60, 13.0, 60)
    assert knn.gain == 0.5


@pytest.mark.parametrize('validation, expected', [
    ({}, []),
    ({40: {'probe/linear_mIoU': 20.0}}, []),
    ({0: {'probe/linear_mIoU': 15.0}}, [('Linear', 15, 15, 0, 15, 0)]),
    ({
        40: {'probe/linear_mIoU': 14.0, 'probe/initial_linear_mIoU': 15.0},
        80: {'probe/linear_mIoU': float('nan')}
    }, [('Linear', 15, 14, 40, 15, 0)]),
])
def test_probe_with_gaps(validation, expected):
    assert probe_scores(validation) == expected


def test_throughput_by_hand(run):
    values = {fact.label: fact.value for fact in throughput_facts(run)}
    # Times 0.4, 0.4, 0.5; waiting 0.1 each; 8 images on each of 2 processes.
    assert values == {
        'Seconds per iteration': '0.4',
        'Images per second': '40',
        'Waiting for data': '25%',
        'Spent on monitoring': '50.0%',
        'GPU memory': '2.00 GB',
        'Host memory': '0.00 GB'
    }
