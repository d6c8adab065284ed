"""From random queries to a predicted map, and to pixels."""
import pytest
import torch

from mask_jepa.models.query_to_map import QueryToMap
from mask_jepa.models.random_queries import RandomQueries
from mask_jepa.models.reconstruction_head import ReconstructionHead

# Queries between the learned ones and noise.


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


# From queries and their masks to a map.


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(8)
    queries = torch.randn(2, 5, 16, generator=generator)
    logits = 4 * torch.randn(2, 5, 3, 4, generator=generator)
    return queries, logits


def layer_norm(tokens):
    centred = tokens - tokens.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def test_without_attention_it_is_a_weighted_mean(inputs):
    queries, logits = inputs
    module = QueryToMap(16, auxiliary_self_attention=False)
    prediction, weights = module(queries, logits)
    for image in range(2):
        for row in range(3):
            for column in range(4):
                share = logits[image, :, row, column].exp()
                share = share / share.sum()
                torch.testing.assert_close(weights[image, :, row, column],
                                           share)
                projected = module.query_projection(queries[image])
                token = (share[:, None] * projected).sum(0)
                expected = module.prediction[1](layer_norm(token))
                torch.testing.assert_close(prediction[image, :, row, column],
                                           expected)


def test_one_owner_everywhere_gives_one_vector(inputs):
    queries, logits = inputs
    logits = logits.clone()
    logits[:, 2] += 200
    module = QueryToMap(16, auxiliary_self_attention=False)
    prediction = module(queries, logits)[0]
    first = prediction[..., :1, :1]
    assert torch.equal(prediction, first.expand_as(prediction))


def test_attention_makes_a_place_depend_on_others(inputs):
    """Owners of the last column change; the first column feels it."""
    queries, logits = inputs
    moved = logits.clone()
    moved[..., -1] = moved[..., -1].flip(1)
    for attention, feels in ((True, True), (False, False)):
        torch.manual_seed(0)
        module = QueryToMap(16, auxiliary_self_attention=attention)
        first, second = (
            module(queries, masks)[0][..., 0] for masks in (logits, moved))
        assert torch.equal(first, second) != feels


def test_attention_knows_positions(inputs):
    """With equal masks everywhere, only the position tells places apart."""
    queries, logits = inputs
    logits = logits[..., :1, :1].expand_as(logits)
    prediction = QueryToMap(16)(queries, logits)[0]
    assert not torch.allclose(prediction[..., 0, 0], prediction[..., 2, 3])


def test_a_common_level_of_the_logits_does_not_matter(inputs):
    queries, logits = inputs
    module = QueryToMap(16)
    torch.testing.assert_close(
        module(queries, logits + 3)[0],
        module(queries, logits)[0])


# From features back to pixels.


def test_each_feature_paints_its_own_square():
    """Pixel (4i + r, 4j + s) of colour c is channel 16c + 4r + s at i, j."""
    head = ReconstructionHead(8)
    features = torch.randn(2, 8, 3, 5)
    image = head(features)
    weight, bias = (value.detach() for value in head.projection.parameters())
    flat = torch.einsum('oc,bchw->bohw', weight[..., 0, 0],
                        features) + bias[:, None, None]
    expected = torch.empty(2, 3, 12, 20)
    for colour in range(3):
        for row in range(4):
            for column in range(4):
                expected[:, colour, row::4, column::4] = flat[:, 16 * colour +
                                                              4 * row + column]
    torch.testing.assert_close(image, expected)
