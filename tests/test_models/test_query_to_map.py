import pytest
import torch

from projects.mask_jepa.models.query_to_map import QueryToMap


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
