"""Online k-means against scikit-learn."""
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, pairwise_distances_argmin

from mask_jepa.models import Prototypes

CHANNELS, SIZE, NUM = 5, 8, 4


def draw(seed, batch_size=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, CHANNELS, SIZE, SIZE, generator=generator)


def flat(target):
    return target.movedim(1, -1).flatten(0, -2).numpy()


def draw_blobs(seed, num=NUM):
    """Places around well separated points, and the point of each place."""
    rng = np.random.default_rng(seed)
    points = np.eye(num, CHANNELS) * 10
    owners = rng.integers(0, num, (3, SIZE, SIZE))
    places = points[owners] + rng.normal(0, 0.3, (3, SIZE, SIZE, CHANNELS))
    return torch.from_numpy(places).movedim(-1, 1).float(), owners


@pytest.fixture
def started():
    """Prototypes that have places, and the places."""
    module = Prototypes(NUM, CHANNELS, momentum=0.0, rounds=1, min_places=1)
    module(draw(0))
    return module


@pytest.mark.parametrize('rounds', [1, 3])
def test_without_momentum_a_round_is_one_of_lloyd(started, rounds):
    started.rounds = rounds
    start = started.centers.numpy().copy()
    started(draw(1))
    reference = KMeans(
        NUM, init=start, n_init=1, max_iter=rounds, tol=0).fit(flat(draw(1)))
    np.testing.assert_allclose(
        started.centers.numpy(), reference.cluster_centers_, atol=1e-5)


def test_momentum_is_the_share_that_stays(started):
    start = started.centers.clone()
    other = Prototypes(NUM, CHANNELS, momentum=0.75, rounds=1)
    other.load_state_dict(started.state_dict())
    started(draw(1))
    other(draw(1))
    torch.testing.assert_close(other.centers,
                               0.75 * start + 0.25 * started.centers)


def test_each_place_goes_to_its_nearest(started):
    masks = started.assign(draw(2))
    assert masks.shape == (3, NUM, SIZE, SIZE)
    assert torch.equal(masks.sum(1), torch.ones(3, SIZE, SIZE))
    expected = pairwise_distances_argmin(
        flat(draw(2)), started.centers.numpy())
    assert np.array_equal(masks.argmax(1).flatten().numpy(), expected)


def test_finds_what_recurs():
    module = Prototypes(NUM, CHANNELS)
    for seed in range(30):
        module(draw_blobs(seed)[0])
    target, owners = draw_blobs(99)
    labels = module.eval().assign(target).argmax(1)
    assert adjusted_rand_score(owners.ravel(), labels.flatten()) == 1


def test_an_idle_prototype_comes_back():
    module = Prototypes(NUM, CHANNELS)
    module(draw_blobs(0)[0])
    module.centers[2] = 1000
    for seed in range(60):
        module(draw_blobs(seed)[0])
    assert module.centers.abs().max() < 20
    assert (module.shares > 0.5).all()


def test_instances_are_the_regions_of_an_image(started):
    started.eval()
    target = draw(3)
    masks = started.assign(target)
    for image_masks, instances in zip(masks, started(target).instances()):
        present = image_masks.sum((1, 2)) > 0
        assert torch.equal(instances.labels, present.nonzero().flatten())
        assert torch.equal(instances.masks, image_masks[present])


def test_small_regions_are_none(started):
    started.eval()
    started.min_places = 17
    masks = started.assign(draw(3))
    areas = masks.sum((2, 3))
    assert (areas < 17).any() and (areas >= 17).any()
    assert torch.equal(started(draw(3)).present, areas >= 17)


def test_eval_mode_moves_nothing(started):
    before = started.centers.clone(), started.shares.clone()
    started.eval()(draw(4))
    assert torch.equal(started.centers, before[0])
    assert torch.equal(started.shares, before[1])


def test_more_prototypes_than_places():
    module = Prototypes(50, CHANNELS)
    target = draw(0, batch_size=1)[..., :2, :2]
    labels = module(target)
    assert labels.masks.shape == (1, 50, 2, 2)
    assert labels.present.sum() == 0
    module.min_places = 1
    assert 1 <= module(target).present.sum() <= 4


@pytest.mark.parametrize('options', [
    dict(momentum=1.0), dict(min_share=-0.1), dict(rounds=0),
    dict(min_places=0)])
def test_wrong_values(options):
    with pytest.raises(ValueError, match='model.prototypes'):
        Prototypes(NUM, CHANNELS, **options)


def test_one_class_is_too_few():
    with pytest.raises(ValueError, match='a head of 2 classes at least'):
        Prototypes(1, CHANNELS)
