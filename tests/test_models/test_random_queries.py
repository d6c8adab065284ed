import pytest
import torch

from projects.mask_jepa.models.random_queries import RandomQueries


def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture
def learned():
    return torch.randn(5, 8, generator=torch.Generator().manual_seed(4))


def test_sigma_zero_gives_the_learned_queries(learned):
    queries = RandomQueries(0.0)(learned, 3, generator())
    assert torch.equal(queries, learned.expand(3, 5, 8))


def test_sigma_one_gives_noise_alone(learned):
    queries = RandomQueries(1.0)(learned, 3, generator())
    assert torch.equal(queries, torch.randn(3, 5, 8, generator=generator()))
    other = RandomQueries(1.0)(-9 * learned, 3, generator())
    assert torch.equal(queries, other)


def test_between_them_is_the_mixture(learned):
    queries = RandomQueries(0.6)(learned, 3, generator())
    noise = torch.randn(3, 5, 8, generator=generator())
    torch.testing.assert_close(queries, 0.8 * learned + 0.6 * noise)


def test_images_get_noise_of_their_own(learned):
    queries = RandomQueries(0.5)(learned, 2, generator())
    assert not torch.isclose(queries[0], queries[1]).any()


@pytest.mark.parametrize('sigma', [0.0, 0.6, 0.8, 1.0])
def test_gradient_of_the_learned_queries(learned, sigma):
    """Each learned query serves two images with sqrt(1 - sigma^2)."""
    learned.requires_grad_()
    RandomQueries(sigma)(learned, 2, generator()).sum().backward()
    expected = torch.full((5, 8), 2 * (1 - sigma**2)**0.5)
    torch.testing.assert_close(learned.grad, expected)


def test_lowest_sigma_is_kept_with_the_weights(learned):
    queries = RandomQueries(1.0)
    seen = []
    for sigma in (1.0, 0.4, 0.9):
        queries.set_sigma(sigma)
        queries(learned, 1, generator())
        seen.append(queries.state_dict()['lowest_sigma'].item())
    assert seen == pytest.approx([1.0, 0.4, 0.4])


def test_lowest_sigma_counts_training_only(learned):
    queries = RandomQueries(0.0)
    queries.eval()(learned, 1, generator())
    assert queries.lowest_sigma == 1
    queries.train()(learned, 1, generator())
    assert queries.lowest_sigma == 0


@pytest.mark.parametrize('sigma', [-0.1, 1.1])
def test_sigma_outside_its_range(sigma):
    with pytest.raises(ValueError, match=str(sigma)):
        RandomQueries().set_sigma(sigma)
    with pytest.raises(ValueError, match=str(sigma)):
        RandomQueries(sigma)
