"""Losses of masks: their level, and those that match them to labels."""
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
from mmdet.registry import MODELS, TASK_UTILS

from mask_jepa.benchmark import StepCounts
from mask_jepa.losses import MaskLabels, MaskLevelLoss, MatchedMaskLoss

# The level of the mask logits, MaskLevelLoss.


def reference(logits):
    """The formula of the docstring, place by place, in numpy."""
    values = []
    columns = np.moveaxis(logits.detach().double().numpy(), 1, -1)
    for place in columns.reshape(-1, logits.shape[1]):
        middle = (place.max() + place.mean()) / 2
        half_distance = (place.max() - place.mean()) / 2
        values.append(middle**2 / (middle**2 + half_distance**2 + 1e-6))
    return np.mean(values)


def partition(num_queries, height, owner_logit):
    """Each place has one owner; the others mirror it: mean = -owner."""
    others = -owner_logit * (num_queries + 1) / (num_queries - 1)
    logits = torch.full((1, num_queries, height, num_queries), others)
    for column in range(num_queries):
        logits[:, column, :, column] = owner_logit
    return logits


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(4)
    return 3 * torch.randn(2, 7, 4, 5, generator=generator) - 4


def test_equals_the_formula(logits):
    loss = MaskLevelLoss(loss_weight=0.6)(logits)
    assert loss.item() == pytest.approx(0.6 * reference(logits), rel=1e-5)


@pytest.mark.parametrize('owner_logit', [0.5, 4.0])
def test_balanced_partition_costs_nothing(owner_logit):
    logits = partition(5, 3, owner_logit).requires_grad_()
    loss = MaskLevelLoss(1.0)(logits)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert logits.grad.abs().max() < 1e-4


def test_one_half_where_an_end_lies_at_zero():
    """Owner at zero, or average at zero: m = d, so L = 1/2."""
    balanced = partition(5, 3, 2.0)
    for shift in (-2.0, 2.0):
        loss = MaskLevelLoss(1.0)(balanced + shift)
        assert loss.item() == pytest.approx(0.5, abs=1e-4)


def test_scaling_all_logits_changes_nothing(logits):
    torch.testing.assert_close(MaskLevelLoss(1.0)(8 * logits),
                               MaskLevelLoss(1.0)(logits))


@pytest.mark.parametrize('sign', [-1, 1])
def test_grows_with_a_common_shift(sign):
    balanced = partition(6, 2, 1.5)
    losses = [
        MaskLevelLoss(1.0)(balanced + sign * shift).item()
        for shift in (0.0, 0.3, 1.0, 3.0, 10.0, 100.0)
    ]
    assert losses == sorted(losses)
    assert losses[0] < 0.01 < losses[1] and losses[-1] > 0.95


@pytest.mark.parametrize('values', [
    torch.zeros(1, 4, 2, 2),
    torch.full((1, 4, 2, 2), 1e4),
    torch.full((1, 4, 2, 2), -1e4),
    torch.linspace(-9, 9, 32).view(1, 8, 2, 2)
])
def test_stays_between_zero_and_one(values):
    values = values.clone().requires_grad_()
    loss = MaskLevelLoss(1.0)(values)
    loss.backward()
    assert 0 <= loss.item() <= 1
    assert values.grad.isfinite().all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(logits, dtype):
    """Squares of 500 would overflow float16."""
    half = (200 * logits).to(dtype)
    loss = MaskLevelLoss(1.0)(half)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(reference(half), rel=1e-4)


# Matching and mask losses of a batch; equality with mmdet's heads is tested
# with the adapters.


BATCH, LAYERS, QUERIES, CLASSES, MASKS, GRID = 2, 3, 4, 5, 3, 6


def make_loss(num_points=None):
    parts = [
        MODELS.build(
            dict(type='CrossEntropyLoss', use_sigmoid=sigmoid, **more))
        for sigmoid, more in (
            (False, dict(loss_weight=2.0, class_weight=[1.0] * 5 + [0.1])),
            (True, dict(loss_weight=5.0)))
    ] + [
        MODELS.build(
            dict(type='DiceLoss', naive_dice=True, eps=1.0, loss_weight=3.0))
    ]
    costs = [
        dict(type='ClassificationCost', weight=2.0),
        dict(type='CrossEntropyLossCost', weight=5.0),
        dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0)
    ]
    return MatchedMaskLoss(list(map(TASK_UTILS.build, costs)), *parts,
                           num_points)


def draw(seed, size=GRID, batch=BATCH):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return [torch.randn(batch, QUERIES, *shape, generator=generator)
                for _ in range(LAYERS)]

    masks = torch.rand(batch, MASKS, GRID, GRID, generator=generator)
    labels = MaskLabels(
        torch.randint(CLASSES, (batch, MASKS), generator=generator),
        masks.round(), torch.ones(batch, MASKS, dtype=torch.bool))
    return normal(CLASSES + 1), normal(size, size), labels


def total(losses):
    return sum(losses.values())


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_matching_has_the_least_cost(generator):
    """Of all ways to give each mask a query of its own."""
    scores, logits, labels = draw(1)
    loss = make_loss()
    queries, matched, count = loss._match(
        torch.stack(scores), torch.stack(logits).flatten(3),
        labels.masks.flatten(2), labels)
    assert count == BATCH * MASKS
    found = {}
    for layer, pairs in enumerate(torch.stack([queries, matched], 2).tolist()):
        for query, mask in pairs:
            image, query = divmod(query, QUERIES)
            assert image == mask // MASKS
            found.setdefault((image, layer), {})[mask % MASKS] = query
    assert len(found) == BATCH * LAYERS

    for (image, layer), choice in found.items():

        def cost(mask, query):
            target = labels.masks[image, mask].double()
            logit = logits[layer][image, query].double()
            share = scores[layer][image, query].double().softmax(0)
            inside = logit.sigmoid()
            dice = 1 - (2 * (inside * target).sum() + 1) / (
                inside.sum() + target.sum() + 1)
            return (5 * F.binary_cross_entropy(inside, target) + 5 * dice
                    - 2 * share[labels.classes[image, mask]]).item()

        best = min(permutations(range(QUERIES), MASKS),
                   key=lambda order: sum(map(cost, range(MASKS), order)))
        assert tuple(choice[mask] for mask in range(MASKS)) == best


def test_what_is_not_present_changes_nothing(generator):
    scores, logits, labels = draw(2)
    present = labels.present.clone()
    present[0, 1] = False
    without = make_loss()(scores, logits, labels._replace(present=present),
                          generator)
    masks = labels.masks.clone()
    masks[0, 1] = 1 - masks[0, 1]
    classes = labels.classes.clone()
    classes[0, 1] = (classes[0, 1] + 1) % CLASSES
    other = make_loss()(scores, logits, MaskLabels(classes, masks, present),
                        generator)
    torch.testing.assert_close(other, without, rtol=0, atol=0)
    with_it = make_loss()(scores, logits, labels, generator)
    assert total(with_it) != total(other)


def test_finer_logits_are_averaged_over_the_places_of_the_grid(generator):
    scores, logits, labels = draw(3)
    noise = torch.randn(GRID, GRID, 2, 2)
    noise -= noise.mean((-2, -1), keepdim=True)
    noise = noise.transpose(1, 2).reshape(2 * GRID, 2 * GRID)
    finer = [F.interpolate(layer, scale_factor=2) + noise for layer in logits]
    torch.testing.assert_close(
        make_loss()(scores, finer, labels, generator),
        make_loss()(scores, logits, labels, generator))


def test_places_of_a_larger_grid_are_drawn(generator):
    """Equal on average; each time others, by the generator alone."""
    scores, logits, labels = draw(4)
    every = make_loss(GRID**2)(scores, logits, labels, generator)
    torch.testing.assert_close(
        every, make_loss()(scores, logits, labels, generator))
    some = make_loss(24)
    drawn = [some(scores, logits, labels, generator)['mask'].item()
             for _ in range(100)]
    assert len(set(drawn)) > 90
    # Matched by what was drawn, hence a little lower.
    assert np.mean(drawn) == pytest.approx(every['mask'].item(), rel=0.03)
    again = some(scores, logits, labels, torch.Generator().manual_seed(0))
    assert again['mask'].item() == drawn[0]


def test_half_precision_is_compared_in_float32(generator):
    scores, logits, labels = draw(5)
    half = [[layer.bfloat16() for layer in each] for each in (scores, logits)]
    with torch.autocast('cpu', torch.bfloat16):
        mixed = make_loss()(*half, labels, generator)
    exact = make_loss()(
        *[[layer.float() for layer in each] for each in half], labels,
        generator)
    for name, value in exact.items():
        assert mixed[name].dtype == torch.float32
        torch.testing.assert_close(mixed[name], value, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize('batch', [1, 4])
def test_the_host_waits_once_and_sends_once(generator, batch):
    scores, logits, labels = draw(6, 4 * GRID, batch)
    loss = make_loss(24)
    with StepCounts() as counts:
        loss(scores, logits, labels, generator)
    assert counts.num_syncs == 2
    assert counts.num_operators <= 150


def work(rank, folder):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.save(losses_of(slice(rank, rank + 1)), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


def losses_of(images):
    """One mask less in the first image."""
    scores, logits, labels = draw(7)
    labels.present[0, 0] = False
    return make_loss()([each[images] for each in scores],
                       [each[images] for each in logits],
                       MaskLabels(*(each[images] for each in labels)),
                       torch.Generator())


@pytest.mark.slow
def test_two_ranks_weigh_each_mask_as_one_does(tmp_path):
    """As in mmdet, on average over the ranks; a class is weighed by rank."""
    multiprocessing.spawn(work, (str(tmp_path), ), nprocs=2)
    ranks = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    alone = losses_of(slice(None))
    for name in ('mask', 'dice'):
        torch.testing.assert_close(
            (ranks[0][name] + ranks[1][name]) / 2, alone[name])


def test_adds_nothing_to_a_checkpoint():
    assert not make_loss().state_dict()


@pytest.mark.parametrize('change', [
    dict(assigner=SimpleNamespace()),
    dict(loss_cls=MODELS.build(dict(type='FocalLoss'))),
    dict(loss_cls=MODELS.build(dict(type='CrossEntropyLoss')))])
def test_a_head_that_is_matched_otherwise_is_named(change):
    loss = make_loss()
    parts = dict(
        assigner=SimpleNamespace(match_costs=loss.match_costs),
        loss_cls=loss.loss_cls, loss_mask=loss.loss_mask,
        loss_dice=loss.loss_dice)
    MatchedMaskLoss.of_head(SimpleNamespace(**parts))
    with pytest.raises(ValueError, match='prototypes.stock_losses=True'):
        MatchedMaskLoss.of_head(SimpleNamespace(**{**parts, **change}))
