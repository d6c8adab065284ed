"""How well masks fit objects, by hand."""
import numpy as np
import pytest

from mask_jepa.evaluation import MaskQuality


def boxes(*corners):
    """Masks of 10 x 10 pixels, each a box of left, top, right, bottom."""
    masks = np.zeros((len(corners), 10, 10), bool)
    for mask, (left, top, right, bottom) in zip(masks, corners):
        mask[top:bottom, left:right] = True
    return masks


def test_each_object_has_its_best_mask():
    quality = MaskQuality()
    # The first object is met exactly and by a half, the second by 6 of 10
    # pixels, the third not at all.
    quality.add(
        boxes((0, 0, 4, 4), (0, 0, 4, 2), (5, 0, 8, 2)),
        boxes((0, 0, 4, 4), (5, 0, 10, 2), (0, 8, 2, 10)))
    quality.add(boxes(), boxes((0, 0, 2, 2)))
    quality.add(boxes((0, 0, 2, 2)), boxes())
    assert quality.summary() == pytest.approx(dict(
        mean_best_iou=(1 + 0.6 + 0 + 0) / 4, recall=2 / 4,
        # At ten thresholds the first, at those below 0.6 the second.
        average_recall=(10 + 2) / 40, precision=2 / 4,
        masks_per_image=4 / 3))


def test_nothing_to_compare_with_is_said():
    quality = MaskQuality()
    with pytest.raises(ValueError, match='No image has an object'):
        quality.summary()
    quality.add(boxes((0, 0, 2, 2)), boxes())
    with pytest.raises(ValueError, match='No image has an object'):
        quality.summary()
