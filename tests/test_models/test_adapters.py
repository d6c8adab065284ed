"""The adapter against the stock Mask2Former head of mmdet."""
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from projects.mask_jepa.models import Mask2FormerAdapter

SIZES = (16, 8, 4, 2)


@pytest.fixture
def head(tiny_config):
    head = MODELS.build(tiny_config().model.panoptic_head)
    head.init_weights()
    return head.eval()


@pytest.fixture
def features(head):
    """Backbone maps of two 64-pixel images, fine to coarse."""
    channels = [conv.in_channels for conv in (
        head.pixel_decoder.lateral_convs[0].conv,
        *(module.conv for module in head.pixel_decoder.input_convs[::-1]))]
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(2, channel, size, size, generator=generator)
        for channel, size in zip(channels, SIZES)
    ]


def samples():
    return [
        DetDataSample(
            metainfo=dict(batch_input_shape=(64, 64), img_shape=(64, 64)))
        for _ in range(2)
    ]


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
    torch.manual_seed(9)
    for name, parameter in head.named_parameters():
        if not name.startswith(('pixel_decoder.', 'cls_embed.')):
            torch.nn.init.normal_(parameter, std=0.3)
    torch.nn.init.constant_(head.pixel_decoder.mask_feature.bias, bias)


def attention_masks(head, features):
    """The share of blocked places that each query of each layer meets."""
    blocked = []
    forward_head = head._forward_head

    def spy(*args):
        result = forward_head(*args)
        blocked.append(result[2].float().mean(-1).flatten())
        return result

    head._forward_head = spy
    head(features, samples())
    del head._forward_head
    return torch.cat(blocked)


def test_equals_the_stock_head(head, features):
    stock_cls, stock_masks = head(features, samples())
    embeddings, scores, masks = decode_as_stock(head, features)
    assert len(scores) == len(stock_cls) and len(masks) == len(stock_masks)
    assert all(map(torch.equal, scores, stock_cls))
    assert all(map(torch.equal, masks, stock_masks))
    assert torch.equal(head.cls_embed(embeddings), stock_cls[-1])


def test_mask_losses_are_those_of_training_with_labels(head, features):
    generator = torch.Generator().manual_seed(4)
    truth = [
        InstanceData(
            labels=torch.tensor(labels),
            masks=torch.rand(
                len(labels), 16, 16, generator=generator).round())
        for labels in ([1, 3], [0, 2, 2])
    ]
    torch.manual_seed(5)
    stock = head.loss_by_feat(*head(features, samples()), truth,
                              [dict(), dict()])
    adapter = Mask2FormerAdapter(head)
    _, scores, masks = decode_as_stock(head, features)
    torch.manual_seed(5)
    ours = adapter.mask_losses(scores, masks, truth)
    assert ours.keys() == {'cls', 'mask', 'dice'}
    for kind, value in ours.items():
        parts = [part.sum() for name, part in stock.items()
                 if name.endswith(f'loss_{kind}')]
        assert len(parts) == 4  # before and after each of three layers
        torch.testing.assert_close(value, sum(parts))


@pytest.mark.parametrize('bias', [-0.5, 0.5])
def test_equals_the_stock_head_with_empty_and_full_masks(
        head, features, bias):
    randomise(head, bias)
    blocked = attention_masks(head, features)
    assert (blocked == 1).any() and (blocked == 0).any()
    assert ((blocked > 0) & (blocked < 1)).any()
    stock_cls, stock_masks = head(features, samples())
    embeddings, _, masks = decode_as_stock(head, features)
    assert masks[-1].isfinite().all()
    assert torch.equal(masks[-1], stock_masks[-1])
    assert torch.equal(head.cls_embed(embeddings), stock_cls[-1])


def test_masked_attention_matters_here(head, features):
    """Without it the masks differ, so the equality above says something."""
    randomise(head, bias=0.0)
    masks = last_masks(head, features)
    forward_head = head._forward_head
    head._forward_head = lambda *args: (
        *forward_head(*args)[:2], torch.zeros_like(forward_head(*args)[2]))
    assert not torch.allclose(last_masks(head, features), masks)


def test_gradients_equal_those_of_the_stock_head(head, features):
    def gradients(masks):
        head.zero_grad()
        masks.square().mean().backward()
        return {name: parameter.grad.clone()
                for name, parameter in head.named_parameters()
                if parameter.grad is not None}

    stock = gradients(head(features, samples())[1][-1])
    ours = gradients(last_masks(head, features))
    assert ours.keys() == stock.keys()
    for name in stock:
        torch.testing.assert_close(ours[name], stock[name], msg=name)


def test_other_queries_give_other_masks(head, features):
    adapter = Mask2FormerAdapter(head)
    mask_features, memory = adapter.encode(features)
    queries = torch.randn(2, 10, adapter.channels)
    masks = adapter.decode(memory, mask_features, queries)[2][-1]
    assert not torch.allclose(masks, last_masks(head, features))


def test_encode_is_the_pixel_decoder(head, features):
    mask_features, memory = Mask2FormerAdapter(head).encode(features)
    stock_mask_features, stock_memory = head.pixel_decoder(features)
    assert torch.equal(mask_features, stock_mask_features)
    assert [level.shape[-1] for level in memory] == [2, 4, 8]
    for level, stock_level in zip(memory, stock_memory):
        assert torch.equal(level, stock_level)


def test_encode_runs_in_float32_under_autocast(head, features):
    adapter = Mask2FormerAdapter(head)
    with torch.autocast('cpu', torch.bfloat16):
        mask_features, _ = adapter.encode(features)
        half = adapter.encode([level.bfloat16() for level in features])[0]
    assert torch.equal(mask_features, adapter.encode(features)[0])
    assert half.dtype == torch.float32


def test_numbers_of_the_head(head):
    adapter = Mask2FormerAdapter(head)
    assert (adapter.channels, adapter.num_levels, adapter.num_heads) == (
        32, 3, 8)
    assert adapter.learned_queries is head.query_feat.weight
