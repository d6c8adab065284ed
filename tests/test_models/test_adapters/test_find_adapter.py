"""Which adapter a head gets, and what an unknown head is told."""
import pytest
from mmdet.models.dense_heads import Mask2FormerHead, MaskFormerHead
from mmdet.models.tracking_heads import Mask2FormerTrackHead

from projects.mask_jepa.models import (ADAPTERS, Mask2FormerAdapter,
                                       MaskFormerAdapter, find_adapter)


def without_weights(head_class):
    return head_class.__new__(head_class)


class HeadThatAddsALoss(MaskFormerHead):

    def loss(self, *args, **kwargs):
        return super().loss(*args, **kwargs)


class HeadThatRunsInAnotherWay(Mask2FormerHead):

    def forward(self, x, batch_data_samples):
        return None


def test_subclass_with_the_same_forward_is_of_the_family():
    assert find_adapter(without_weights(HeadThatAddsALoss)) is (
        MaskFormerAdapter)


@pytest.mark.parametrize('head_class',
                         [HeadThatRunsInAnotherWay, Mask2FormerTrackHead])
def test_another_forward_is_refused_with_the_way_out(head_class, root):
    with pytest.raises(TypeError) as error:
        find_adapter(without_weights(head_class))
    message = str(error.value)
    assert head_class.__name__ in message
    assert 'Mask2FormerHead, MaskFormerHead' in message
    assert 'encode and decode' in message
    page = message.split('as ')[-1].split(' shows')[0]
    assert (root / page).is_file()


def test_own_adapter_is_found_without_a_line_elsewhere():

    class OwnAdapter(Mask2FormerAdapter):
        head_class = HeadThatRunsInAnotherWay

    ADAPTERS.register_module(module=OwnAdapter)
    try:
        head = without_weights(HeadThatRunsInAnotherWay)
        assert find_adapter(head) is OwnAdapter
        assert find_adapter(without_weights(Mask2FormerHead)) is (
            Mask2FormerAdapter)
    finally:
        ADAPTERS.module_dict.pop('OwnAdapter')
