"""Every adapter against the stock heads that it is for."""
import pytest
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import (Mask2FormerHead, MaskFormerHead,
                                      mask2former_head)
from mmdet.models.tracking_heads import Mask2FormerTrackHead
from mmengine.structures import InstanceData

from mask_jepa.losses import MaskLabels, MatchedMaskLoss
from mask_jepa.models import (ADAPTERS, Mask2FormerAdapter, MaskFormerAdapter,
                              find_adapter)


@pytest.fixture
def adapter(head):
    return find_adapter(head)(head)


def decode(adapter, features, queries=None):
    """Run both verbs, by default with the learned queries."""
    mask_features, memory = adapter.encode(features)
    if queries is None:
        queries = adapter.learned_queries.expand(2, -1, -1)
    return adapter.decode(memory, mask_features, queries)


def test_is_that_of_the_family(head):
    expected = (
        Mask2FormerAdapter
        if 'Mask2Former' in type(head).__name__ else MaskFormerAdapter)
    assert find_adapter(head) is expected


def test_equals_the_stock_head(head, adapter, features, samples):
    stock_scores, stock_masks = head(features, samples)
    embeddings, scores, masks = decode(adapter, features)
    assert len(scores) == len(stock_scores) == len(masks) > 1
    for ours, stock in zip((*scores, *masks), (*stock_scores, *stock_masks)):
        torch.testing.assert_close(ours, stock, rtol=0, atol=1e-6)
    assert torch.equal(head.cls_embed(embeddings), scores[-1])


def test_gradients_equal_those_of_the_stock_head(head, adapter, features,
                                                 samples):

    def gradients(masks):
        head.zero_grad()
        masks.square().mean().backward()
        return {
            name: parameter.grad.clone()
            for name, parameter in head.named_parameters()
            if parameter.grad is not None
        }

    stock = gradients(head(features, samples)[1][-1])
    ours = gradients(decode(adapter, features)[2][-1])
    assert ours.keys() == stock.keys()
    for name in stock:
        torch.testing.assert_close(ours[name], stock[name], msg=name)


@pytest.mark.parametrize('grid', [(4, 4), (5, 3)])
def test_masks_on_a_grid_are_averages_of_the_whole_ones(
        head, adapter, features, grid):
    """Values and gradients, be it that they are made on the grid alone."""
    weights = torch.randn(2, 10, *grid)

    def decoded(on_grid):
        head.zero_grad()
        mask_features, memory = adapter.encode(features)
        inputs = memory, mask_features, 3 * torch.randn(
            2, 10, adapter.channels, generator=torch.Generator().manual_seed(7)
        )
        if on_grid:
            embeddings, scores, masks = adapter.decode_on_grid(*inputs, grid)
        else:
            embeddings, scores, masks = adapter.decode(*inputs)
            masks = [F.adaptive_avg_pool2d(each, grid) for each in masks]
        sum((weights * each).sum() for each in masks).backward()
        return [embeddings, *scores, *masks], {
            name: parameter.grad.clone()
            for name, parameter in head.named_parameters()
            if parameter.grad is not None
        }

    whole, ours = decoded(False), decoded(True)
    assert len(whole[0]) == len(ours[0])
    torch.testing.assert_close(ours[0], whole[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours[1], whole[1], rtol=1e-3, atol=1e-4)


def test_mask_losses_are_those_of_training_with_labels(head, adapter,
                                                       features, samples):
    generator = torch.Generator().manual_seed(4)
    truth = [
        InstanceData(
            labels=torch.tensor(labels),
            masks=torch.rand(len(labels), 16, 16,
                             generator=generator).round().long())
        for labels in ([1, 3], [0, 2, 2])
    ]
    torch.manual_seed(5)
    stock_scores, stock_masks = head(features, samples)
    stock = head.loss_by_feat(stock_scores, stock_masks, truth,
                              [dict(), dict()])
    _, scores, masks = decode(adapter, features)
    torch.manual_seed(5)
    ours = adapter.mask_losses(scores, masks, truth)
    assert ours.keys() == {'cls', 'mask', 'dice'}
    for kind, value in ours.items():
        parts = [
            part.sum() for name, part in stock.items()
            if name.endswith(f'loss_{kind}')
        ]
        assert len(parts) == len(stock_scores)
        torch.testing.assert_close(value, sum(parts))


GRID = 6


@pytest.fixture
def every_place(head, monkeypatch):
    """Let the stock head compare at the middle of each place of the grid."""
    middles = (torch.arange(GRID) + 0.5) / GRID
    points = torch.cartesian_prod(middles, middles).flip(-1)
    monkeypatch.setattr(
        mask2former_head, 'get_uncertain_point_coords_with_randomness',
        lambda masks, *_: points.expand(len(masks), -1, -1))
    draw = torch.rand
    monkeypatch.setattr(
        torch, 'rand', lambda *shape, **options: points[None]
        if shape == ((1, GRID**2, 2), ) else draw(*shape, **options))
    head.num_points = GRID**2


# Of the masks of the images; the head has ten queries.
PRESENT = {
    'both': ([1, 1, 0, 1, 0], [0, 1, 0, 0, 0]),
    'one without masks': ([1, 1, 0, 1, 0], [0] * 5),
    'none': ([0] * 5, [0] * 5),
    'more masks than queries': ([1] * 13, [0, 1] * 6 + [0]),
}


@pytest.mark.parametrize('present', PRESENT.values(), ids=PRESENT)
def test_matched_losses_are_those_of_the_stock_head(
        head, adapter, every_place, present):
    """Where the places are the same: losses and gradients, hence matching."""
    generator = torch.Generator().manual_seed(4)
    present = torch.tensor(present).bool()
    # What many masks have in common leaves close calls, without equal costs.
    masks = torch.rand(*present.shape, GRID, GRID, generator=generator) > 0.6
    labels = MaskLabels(
        torch.randint(5, present.shape, generator=generator), masks.float(),
        present)
    head.loss_cls.class_weight[2] = head.class_weight[2] = 0.4

    def gradients(losses):
        scores, logits = [
            [torch.randn(2, 10, *shape, generator=random).requires_grad_()
             for _ in range(3)] for random, shape in (
                 (torch.Generator().manual_seed(5), (6, )),
                 (torch.Generator().manual_seed(6), (GRID, GRID)))]
        values = losses(scores, logits)
        sum(values.values()).backward()
        return values, [each.grad for each in (*scores, *logits)]

    stock, stock_gradients = gradients(
        lambda *predicted: adapter.mask_losses(*predicted, labels.instances()))
    ours, our_gradients = gradients(
        lambda *predicted: MatchedMaskLoss.of_head(head)(
            *predicted, labels, generator))
    assert ours.keys() == stock.keys() == {'cls', 'mask', 'dice'}
    for kind, value in stock.items():
        torch.testing.assert_close(
            ours[kind], value, rtol=1e-5, atol=1e-6, msg=kind)
        assert (value > 0) == (kind == 'cls' or present.any())
    for our_gradient, gradient in zip(our_gradients, stock_gradients):
        torch.testing.assert_close(
            our_gradient, gradient, rtol=1e-4, atol=1e-7)


def test_other_queries_give_other_masks(adapter, features):
    queries = torch.randn(2, 10, adapter.channels)
    assert not torch.allclose(
        decode(adapter, features, queries)[2][-1],
        decode(adapter, features)[2][-1])


def test_numbers_of_the_head(head, adapter, features):
    assert (adapter.channels, adapter.num_heads, adapter.num_classes) == (
        32, 8, 5)
    assert adapter.learned_queries.shape == (10, 32)
    assert any(parameter is adapter.learned_queries
               for parameter in head.parameters())
    _, memory = adapter.encode(features)
    assert adapter.in_channels == [level.shape[1] for level in features]
    assert adapter.memory_channels == [level.shape[1] for level in memory]


def test_head_without_matching_is_named(head, adapter):
    adapter.require_mask_losses()
    head.train_cfg = None
    with pytest.raises(ValueError, match='panoptic_head.train_cfg'):
        adapter.require_mask_losses()


@pytest.mark.parametrize('count', [5, 7])
def test_weights_of_other_classes_are_named(head, adapter, count):
    head.loss_cls.class_weight = [1.0] * count
    with pytest.raises(ValueError, match=f'each of 5 classes .* has {count}'):
        adapter.require_mask_losses()
    head.loss_cls.class_weight = [1.0] * 6
    adapter.require_mask_losses()


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('place', ['scores', 'masks'])
def test_losses_of_broken_predictions_are_no_numbers(head, adapter, features,
                                                     place, value):
    _, scores, masks = decode(adapter, features)
    broken = scores if place == 'scores' else masks
    broken[-1] = torch.full_like(broken[-1], value)
    truth = [
        InstanceData(
            labels=torch.tensor([1]),
            masks=torch.ones(1, 16, 16, dtype=torch.int64))
    ] * 2
    labels = MaskLabels(
        torch.ones(2, 1, dtype=torch.int64), torch.ones(2, 1, 16, 16),
        torch.ones(2, 1, dtype=torch.bool))
    for losses in (adapter.mask_losses(scores, masks, truth),
                   MatchedMaskLoss.of_head(head)(
                       scores, masks, labels, torch.Generator())):
        assert not torch.stack(list(losses.values())).isfinite().all()


def test_other_faults_of_the_losses_are_not_hidden(adapter, features,
                                                   monkeypatch):
    _, scores, masks = decode(adapter, features)

    def fail(*arguments):
        raise ValueError('another fault')

    monkeypatch.setattr(type(adapter.head), 'loss_by_feat', fail)
    with pytest.raises(ValueError, match='another fault'):
        adapter.mask_losses(scores, masks, [])


# Which adapter a head gets, and what an unknown head is told.


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
