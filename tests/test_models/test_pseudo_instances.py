"""Things found in an image, against scipy and drawn discs."""
import numpy as np
import pytest
import torch
from scipy import ndimage

from mask_jepa.models import PseudoInstances
from mask_jepa.models.connected_components import connected_components

SIDE, STRIDE = 128, 4
# Centre (x, y) and radius in pixels; all are bright on a dark ground.
DISCS = [(30, 24, 12), (90, 30, 16), (40, 90, 20), (100, 100, 8)]


def draw_discs():
    """An image (3, H, W), and the mask of each disc, bool (D, H, W)."""
    y, x = torch.meshgrid(
        torch.arange(SIDE), torch.arange(SIDE), indexing='ij')
    masks = torch.stack(
        [(x - cx)**2 + (y - cy)**2 < radius**2 for cx, cy, radius in DISCS])
    image = masks.any(0).float().expand(3, -1, -1)
    noise = torch.randn(
        image.shape, generator=torch.Generator().manual_seed(0))
    return image + 0.05 * noise, masks


def find_iou(found, expected):
    """Of each pair of masks, (F, D)."""
    found, expected = found.flatten(1).float(), expected.flatten(1).float()
    both = found @ expected.T
    return both / (found.sum(1)[:, None] + expected.sum(1) - both)


@pytest.mark.parametrize('count, scale', [(2, 1), (3, 1), (2, 8), (4, 8)])
def test_components_are_those_of_scipy(count, scale):
    generator = torch.Generator().manual_seed(count)
    regions = torch.randint(
        count, (3, 32 // scale, 48 // scale), generator=generator)
    regions = regions.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    names = connected_components(regions).numpy()
    for found, image in zip(names, regions.numpy()):
        for region in range(count):
            expected, number = ndimage.label(image == region)
            pairs = set(zip(found.flat, expected.flat))
            pairs = {pair for pair in pairs if pair[1]}
            inside = found[image == region]
            assert len(pairs) == number == len(np.unique(inside))


def test_a_long_winding_component_is_one():
    """Rows joined at alternate ends: 590 places in a line."""
    regions = torch.zeros(1, 33, 33, dtype=torch.int64)
    regions[:, ::2] = 1
    regions[:, 1::4, -1] = 1
    regions[:, 3::4, 0] = 1
    names = connected_components(regions)
    assert names[regions == 1].unique().tolist() == [0]


def test_each_disc_is_found_alone():
    image, discs = draw_discs()
    _, masks, present = PseudoInstances(0, stride=STRIDE)(image[None])
    assert masks.shape[2:] == (SIDE // STRIDE, SIDE // STRIDE)
    found = masks[0, present[0]].repeat_interleave(STRIDE, 1)
    iou = find_iou(found.repeat_interleave(STRIDE, 2), discs)
    assert (iou.amax(0) > 0.6).all()
    # Absent masks are empty, and present ones come first.
    assert not masks[0, ~present[0]].any()
    assert present[0].long().diff().le(0).all()


def test_ground_and_what_is_tiny_are_no_things():
    image, _ = draw_discs()
    image[:, 60:64, 60:64] = 1.0  # a single place of the grid
    _, masks, present = PseudoInstances(
        0, num_clusters=[2], stride=STRIDE, min_places=4)(image[None])
    areas = masks[0, present[0]].sum((1, 2))
    assert len(areas) == len(DISCS)
    assert areas.min() >= 4
    assert areas.max() < 0.4 * (SIDE // STRIDE)**2


def test_the_same_thing_is_kept_once():
    image, _ = draw_discs()
    once = PseudoInstances(0, num_clusters=[2], stride=STRIDE)(image[None])
    twice = PseudoInstances(0, num_clusters=[2, 2], stride=STRIDE)(image[None])
    assert once.present.sum() == twice.present.sum()


def test_an_image_does_not_depend_on_its_batch():
    image, _ = draw_discs()
    batch = torch.stack([image, image.flip(-1), torch.zeros_like(image)])
    find = PseudoInstances(3, stride=STRIDE)
    classes, masks, present = find(batch)
    assert (classes == 3).all()
    _, alone, alone_present = find(batch[:1])
    assert torch.equal(masks[:1], alone)
    assert torch.equal(present[:1], alone_present)
    assert not present[2].any()  # one colour: the whole image is one part


def test_half_precision_finds_the_same():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 64, 64, generator=generator)
    images = torch.nn.functional.avg_pool2d(images, 9, 1, 4)
    find = PseudoInstances(0, num_clusters=[2, 3, 4], stride=1)
    with torch.autocast('cpu', torch.bfloat16):
        found = find(images)
    assert all(map(torch.equal, found, find(images)))
    assert found.present.any()


@pytest.mark.parametrize('options', [
    dict(num_clusters=[1]), dict(stride=0), dict(max_share=1.5),
    dict(min_places=0), dict(max_instances=0)])
def test_values_outside_their_range_are_refused(options):
    with pytest.raises(ValueError, match='model.pseudo_instances'):
        PseudoInstances(0, **options)


def test_things_join_what_recurs(make_model, images):
    model = make_model(
        dict(pseudo_instances=dict(stride=4, min_places=1, max_instances=5)))
    num_prototypes = model.adapter.num_classes - 1
    assert len(model.prototypes.centers) == num_prototypes
    target = model.eval().predict_target(images).target_on_grid
    labels = model.pseudo_labels(images, target)
    alone = model.prototypes(target)
    things = model.pseudo_instances(images)
    assert labels.masks.shape == (
        len(images), num_prototypes + 5, *things.masks.shape[2:])
    torch.testing.assert_close(
        labels.masks[:, :num_prototypes, ::2, ::2], alone.masks)
    assert torch.equal(labels.masks[:, num_prototypes:], things.masks)
    assert labels.classes[0].tolist() == [
        *range(num_prototypes), *[num_prototypes] * 5]
    assert torch.equal(labels.present[:, :num_prototypes], alone.present)


@pytest.mark.parametrize('prototypes', [dict(), None])
def test_the_head_learns_them(make_model, images, prototypes):
    model = make_model(
        dict(prototypes=prototypes, pseudo_instances=dict(min_places=1)))
    loss, logged = model.parse_losses(model(images, mode='loss'))
    loss.backward()
    assert logged['loss_prototype_dice'] > 0
    assert model.panoptic_head.cls_embed.weight.grad.abs().sum() > 0
