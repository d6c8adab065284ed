"""Labels on the grid of the features, and scores back on that of labels."""
import pytest
import torch

from projects.mask_jepa.evaluation.label_grid import (count_classes,
                                                      upsample_scores)


def test_counts_by_hand():
    labels = torch.tensor([
        [0, 0, 1, 1],
        [0, 2, 1, 255],
        [2, 2, 255, 255],
        [2, 2, 255, 255],
    ])
    counts = count_classes(labels, 3, (4, 4), (4, 4), (2, 2))
    assert counts.tolist() == [[3, 0, 1], [0, 3, 0], [0, 0, 4], [0, 0, 0]]


def test_labels_at_another_resolution_than_the_image():
    """Of a label map twice as large, a cell gets four times the pixels."""
    labels = torch.randint(
        0, 5, (6, 8), generator=torch.Generator().manual_seed(1))
    larger = labels.repeat_interleave(2, 0).repeat_interleave(2, 1)
    counts = count_classes(labels, 5, (6, 8), (6, 8), (3, 2))
    assert torch.equal(
        count_classes(larger, 5, (6, 8), (6, 8), (3, 2)), 4 * counts)
    assert counts.sum() == labels.numel()


def test_padding_has_no_label():
    """An image of 6x8 in an input of 8x12: cells of 4x4 pixels."""
    labels = torch.ones(6, 8, dtype=torch.long)
    counts = count_classes(labels, 2, (6, 8), (8, 12), (2, 3))
    assert counts[:, 1].view(2, 3).tolist() == [[16, 16, 0], [8, 8, 0]]
    assert counts[:, 0].sum() == 0


@pytest.mark.parametrize('wrong', [255, -1, 3])
def test_values_outside_the_classes_are_ignored(wrong):
    labels = torch.full((4, 4), wrong)
    assert count_classes(labels, 3, (4, 4), (4, 4), (2, 2)).sum() == 0


def test_scores_return_to_where_their_labels_were():
    """Counting, then upsampling, finds each quarter of an image again."""
    labels = torch.zeros(40, 60, dtype=torch.long)
    labels[20:, :30], labels[:20, 30:], labels[20:, 30:] = 1, 2, 3
    shapes = dict(image_shape=(64, 96), input_shape=(64, 128))
    grid = (16, 32)
    counts = count_classes(labels, 4, grid=grid, **shapes)
    scores = upsample_scores(
        counts.T.unflatten(1, grid), label_shape=labels.shape, **shapes)
    agree = (scores.argmax(0) == labels).float()
    assert scores.shape == (4, 40, 60)
    assert agree.mean() > 0.98
    assert agree[2:18, 2:28].all() and agree[22:38, 32:58].all()
