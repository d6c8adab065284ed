import pytest
import torch

from projects.mask_jepa.models.block_masking import BlockMasking, resize_mask
from projects.mask_jepa.models.mask_tokens import MaskTokens


@pytest.fixture
def hidden():
    return BlockMasking()(torch.zeros(2, 3, 128, 192),
                          torch.Generator().manual_seed(0))


@pytest.fixture
def memory():
    """Three levels, at strides 32, 16 and 8 of a 128x192 image."""
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(2, 6, 128 // stride, 192 // stride, generator=generator)
        for stride in (32, 16, 8)
    ]


def repeat(mask, times):
    return mask.repeat_interleave(times, -1).repeat_interleave(times, -2)


def test_same_places_at_all_levels_and_in_the_image(hidden, memory):
    tokens = MaskTokens([6, 6, 6])
    for features, masked in zip(memory, tokens(memory, hidden)):
        replaced = (masked != features).any(1, keepdim=True)
        stride = 128 // features.shape[-2]
        # Every pixel of the image agrees with every level.
        assert torch.equal(
            repeat(replaced, stride), resize_mask(hidden, (128, 192)))
        assert torch.equal(repeat(replaced, stride), repeat(hidden, 32))
    assert torch.equal(resize_mask(hidden, (16, 24)), repeat(hidden, 4))


def test_hidden_is_the_token_and_visible_is_untouched(hidden, memory):
    tokens = MaskTokens([6, 6, 6])
    masked_memory = tokens(memory, hidden)
    for level, (features, masked) in enumerate(zip(memory, masked_memory)):
        places = resize_mask(hidden, features.shape[-2:])[:, 0]
        places_last = masked.permute(0, 2, 3, 1)
        expected = tokens.tokens[level].expand_as(places_last[places])
        assert torch.equal(places_last[places], expected)
        assert torch.equal(places_last[~places],
                           features.permute(0, 2, 3, 1)[~places])


def test_gradient_reaches_each_token_as_often_as_it_is_used(hidden, memory):
    tokens = MaskTokens([6, 6, 6])
    sum(masked.sum() for masked in tokens(memory, hidden)).backward()
    cells = hidden.sum().item()
    for token, uses in zip(tokens.tokens, (cells, cells * 4, cells * 16)):
        assert torch.equal(token.grad, torch.full((6, ), float(uses)))


def test_levels_may_differ_in_channels(hidden, memory):
    memory = [memory[0][:, :2], memory[1]]
    tokens = MaskTokens([2, 6])
    for token, masked in zip(tokens.tokens, tokens(memory, hidden)):
        places = resize_mask(hidden, masked.shape[-2:])[:, 0]
        assert (masked.movedim(1, -1)[places] == token).all()


def test_levels_have_tokens_of_their_own():
    tokens = MaskTokens([6, 6, 6]).tokens
    assert len({tuple(token.tolist()) for token in tokens}) == 3


def test_half_precision_memory_stays_so(hidden, memory):
    memory = [features.bfloat16() for features in memory]
    for masked in MaskTokens([6, 6, 6])(memory, hidden):
        assert masked.dtype == torch.bfloat16
