"""What only the stock Mask2Former head has: masked attention."""
import pytest
import torch
from mmdet.models.layers import MSDeformAttnPixelDecoder

from mask_jepa.models import Mask2FormerAdapter


@pytest.fixture
def head(make_head):
    return make_head('mmdet.Mask2FormerHead')


def decode_as_stock(head, features):
    """Run the adapter with the learned queries."""
    adapter = Mask2FormerAdapter(head)
    mask_features, memory = adapter.encode(features)
    queries = adapter.learned_queries.expand(2, -1, -1)
    return adapter.decode(memory, mask_features, queries)


def last_masks(head, features):
    return decode_as_stock(head, features)[2][-1]


def randomise(head, bias):
    """Give the head random weights and the masks a common level."""
    torch.manual_seed(3)
    for name, parameter in head.named_parameters():
        if not name.startswith(('pixel_decoder.', 'cls_embed.')):
            torch.nn.init.normal_(parameter, std=0.3)
    torch.nn.init.constant_(head.pixel_decoder.mask_feature.bias, bias)


def attention_masks(head, features, samples):
    """The share of blocked places that each query of each layer meets."""
    blocked = []
    forward_head = head._forward_head

    def spy(*args):
        result = forward_head(*args)
        blocked.append(result[2].float().mean(-1).flatten())
        return result

    head._forward_head = spy
    head(features, samples)
    del head._forward_head
    return torch.cat(blocked)


@pytest.mark.parametrize('bias', [-0.5, 0.5])
def test_equals_the_stock_head_with_empty_and_full_masks(
        head, features, samples, bias):
    randomise(head, bias)
    blocked = attention_masks(head, features, samples)
    assert (blocked == 1).any() and (blocked == 0).any()
    assert ((blocked > 0) & (blocked < 1)).any()
    stock_cls, stock_masks = head(features, samples)
    embeddings, _, masks = decode_as_stock(head, features)
    assert masks[-1].isfinite().all()
    # The adapter's pixel decoder rounds otherwise.
    torch.testing.assert_close(
        masks[-1], stock_masks[-1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        head.cls_embed(embeddings), stock_cls[-1], rtol=1e-3, atol=1e-3)


def test_masked_attention_matters_here(head, features):
    """Without it the masks differ, so the equality above says something."""
    randomise(head, bias=0.0)
    masks = last_masks(head, features)
    forward_head = head._forward_head
    head._forward_head = lambda *args: (
        *forward_head(*args)[:2], torch.zeros_like(forward_head(*args)[2]))
    assert not torch.allclose(last_masks(head, features), masks)


@pytest.mark.parametrize('bias', [-0.5, 0.5])
def test_masks_on_a_grid_block_as_whole_ones_do(head, features, samples, bias):
    randomise(head, bias)
    blocked = attention_masks(head, features, samples)
    assert ((blocked > 0) & (blocked < 1)).any()
    adapter = Mask2FormerAdapter(head)
    mask_features, memory = adapter.encode(features)
    queries = adapter.learned_queries.expand(2, -1, -1)
    whole = adapter.decode(memory, mask_features, queries)
    ours = adapter.decode_on_grid(memory, mask_features, queries, (8, 8))
    for found, expected in zip((ours[0], *ours[1]), (whole[0], *whole[1])):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for found, expected in zip(ours[2], whole[2]):
        # Sixteen pixels become four places.
        expected = expected.unflatten(-1, (8, 2)).unflatten(-3, (8, 2))
        torch.testing.assert_close(
            found, expected.mean((-3, -1)), rtol=1e-4, atol=1e-4)


def test_encode_is_the_pixel_decoder(head, features):
    mask_features, memory = Mask2FormerAdapter(head).encode(features)
    stock_mask_features, stock_memory = head.pixel_decoder(features)
    assert torch.equal(mask_features, stock_mask_features)
    assert [level.shape[-1] for level in memory] == [2, 4, 8]
    for level, stock_level in zip(memory, stock_memory):
        assert torch.equal(level, stock_level)


def test_encode_keeps_float16_out(head, features):
    adapter = Mask2FormerAdapter(head)
    with torch.autocast('cpu', torch.float16):
        mask_features, _ = adapter.encode(features)
        half = adapter.encode([level.half() for level in features])[0]
    assert torch.equal(mask_features, adapter.encode(features)[0])
    assert half.dtype == torch.float32


def test_encode_runs_heirs_of_the_pixel_decoder_in_float32(head, features):

    class Heir(MSDeformAttnPixelDecoder):
        pass

    head.pixel_decoder.__class__ = Heir
    adapter = Mask2FormerAdapter(head)
    with torch.autocast('cpu', torch.bfloat16):
        mask_features, _ = adapter.encode(features)
    assert torch.equal(mask_features, adapter.encode(features)[0])
