"""What is done to images, and to features, before they are learned from."""
import pytest
import torch

from mask_jepa.models import PhotometricChange
from mask_jepa.models.block_masking import BlockMasking, resize_mask
from mask_jepa.models.input_noise import InputNoise
from mask_jepa.models.mask_tokens import MaskTokens
from mask_jepa.models.step_random import randn

# The blocks of cells that are hidden.


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(seed=0, batch_size=3, size=(256, 320), **options):
    image = torch.zeros(batch_size, 3, *size)
    return BlockMasking(**options)(image, generator(seed))


def cut_blocks(mask, size):
    """Fewest blocks that are hidden in part, over all offsets of the grid."""
    rows, columns = mask.shape
    counts = []
    for row_offset in range(size):
        for column_offset in range(size):
            blocks = {}
            for row in range(rows):
                for column in range(columns):
                    block = ((row + row_offset) // size,
                             (column + column_offset) // size)
                    blocks.setdefault(block, set()).add(
                        bool(mask[row, column]))
            counts.append(sum(len(found) > 1 for found in blocks.values()))
    return min(counts)


@pytest.mark.parametrize('ratio', [0.0, 0.13, 0.5, 0.77, 1.0])
@pytest.mark.parametrize('block_size', [1, 2, 3])
def test_exact_number_of_hidden_cells_in_every_image(ratio, block_size):
    mask = draw(ratio=ratio, block_size=block_size)
    assert mask.dtype == torch.bool and mask.shape == (3, 1, 8, 10)
    assert mask.flatten(1).sum(1).tolist() == [round(ratio * 80)] * 3


@pytest.mark.parametrize('block_size', [2, 3, 4])
def test_hidden_cells_come_in_blocks(block_size):
    """At most one block of each image is cut, to get the count right."""
    for mask in draw(batch_size=8, block_size=block_size)[:, 0]:
        assert cut_blocks(mask, block_size) <= 1


def test_single_cells_are_scattered():
    """The reference above can tell blocks from scattered cells."""
    for mask in draw(batch_size=8, block_size=1)[:, 0]:
        assert cut_blocks(mask, 2) > 1


def test_blocks_start_anywhere():
    """Over many images every cell is hidden about equally often."""
    share = draw(batch_size=2000, block_size=2).float().mean((0, 1))
    assert (share - 0.5).abs().max() < 0.06
    across = draw(batch_size=200, block_size=2)[:, 0]
    even = (across[:, :, 0::2] == across[:, :, 1::2]).all(-1).all(-1)
    assert 40 < even.sum() < 160  # about half begin at an even column


def test_images_differ_and_seeds_repeat():
    mask = draw(seed=1, batch_size=4)
    assert all(not torch.equal(mask[0], other) for other in mask[1:])
    assert torch.equal(mask, draw(seed=1, batch_size=4))
    assert not torch.equal(mask, draw(seed=2, batch_size=4))


def test_global_random_state_does_not_matter():
    state = torch.get_rng_state()
    first = draw()
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    assert torch.equal(first, draw())


@pytest.mark.parametrize('options, name', [(dict(ratio=-0.1), 'ratio'),
                                           (dict(ratio=1.1), 'ratio'),
                                           (dict(block_size=0),
                                            'block_size')])
def test_wrong_option_is_named(options, name):
    with pytest.raises(ValueError, match=f'masking.{name}'):
        BlockMasking(**options)


def test_wrong_image_size_says_what_to_do():
    with pytest.raises(ValueError, match='256x300 .* multiples of 32'):
        draw(size=(256, 300))


def test_resized_mask_repeats_each_cell():
    mask = draw(batch_size=2)
    large = resize_mask(mask, (8 * 4, 10 * 4))
    expected = torch.kron(mask[:, 0].int(), torch.ones(1, 4, 4).int()).bool()
    assert torch.equal(large[:, 0], expected)


def test_resized_mask_never_cuts_a_cell():
    with pytest.raises(ValueError, match='model.masking.stride'):
        resize_mask(draw(batch_size=1), (4, 5))


# Noise on visible and hidden pixels.


@pytest.fixture
def image():
    return torch.randn(
        2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def hidden():
    """The left third of image 0, the lower half of image 1."""
    hidden = torch.zeros(2, 1, 64, 96, dtype=torch.bool)
    hidden[0, :, :, :32] = True
    hidden[1, :, 32:] = True
    return hidden


def test_equals_the_formula(image, hidden):
    noisy = InputNoise(gamma=0.64, masked_gamma=0.09)(image, hidden,
                                                      generator())
    noise = torch.randn(image.shape, generator=generator())
    visible = 0.8 * image + 0.6 * noise
    masked = 0.3 * image + 0.91**0.5 * noise
    torch.testing.assert_close(noisy, torch.where(hidden, masked, visible))


def test_hidden_pixels_hold_nothing_of_the_image(image, hidden):
    noise = InputNoise(gamma=0.7, masked_gamma=0.0)
    other = torch.where(hidden, 5 * image.flip(0) - 3, image)
    noisy = noise(image, hidden, generator())
    assert torch.equal(noisy, noise(other, hidden, generator()))
    wide = hidden.expand_as(image)
    expected = torch.randn(image.shape, generator=generator())
    assert torch.equal(noisy[wide], expected[wide])


def test_gamma_of_one_keeps_the_visible_pixels(image, hidden):
    noisy = InputNoise(gamma=1.0, masked_gamma=0.0)(image, hidden, generator())
    wide = hidden.expand_as(image)
    assert torch.equal(noisy[~wide], image[~wide])
    assert not torch.isclose(noisy[wide], image[wide]).all()


@pytest.mark.parametrize('gamma', [0.0, 0.3, 0.7, 1.0])
def test_variance_is_kept(hidden, gamma):
    image = torch.randn(
        2, 3, 512, 512, generator=torch.Generator().manual_seed(2))
    hidden = torch.zeros(2, 1, 512, 512, dtype=torch.bool)
    noisy = InputNoise(gamma)(image, hidden, generator())
    assert noisy.var().item() == pytest.approx(1, abs=0.01)


def test_every_pixel_gets_noise_of_its_own(image, hidden):
    noisy = InputNoise(0.0, 0.0)(image, hidden, generator())
    assert noisy.unique().numel() > 0.99 * noisy.numel()


@pytest.mark.parametrize('name', ['gamma', 'masked_gamma'])
@pytest.mark.parametrize('value', [-0.01, 1.01])
def test_wrong_noise_option_is_named(name, value):
    with pytest.raises(ValueError, match=rf'noise\.{name} .* {value}'):
        InputNoise(**{name: value})


# Tokens in place of the hidden features.


@pytest.fixture
def hidden_cells():
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


def test_same_places_at_all_levels_and_in_the_image(hidden_cells, memory):
    tokens = MaskTokens([6, 6, 6])
    for features, masked in zip(memory, tokens(memory, hidden_cells)):
        replaced = (masked != features).any(1, keepdim=True)
        stride = 128 // features.shape[-2]
        # Every pixel of the image agrees with every level.
        assert torch.equal(
            repeat(replaced, stride), resize_mask(hidden_cells, (128, 192)))
        assert torch.equal(repeat(replaced, stride), repeat(hidden_cells, 32))
    assert torch.equal(
        resize_mask(hidden_cells, (16, 24)), repeat(hidden_cells, 4))


def test_hidden_is_the_token_and_visible_is_untouched(hidden_cells, memory):
    tokens = MaskTokens([6, 6, 6])
    masked_memory = tokens(memory, hidden_cells)
    for level, (features, masked) in enumerate(zip(memory, masked_memory)):
        places = resize_mask(hidden_cells, features.shape[-2:])[:, 0]
        places_last = masked.permute(0, 2, 3, 1)
        expected = tokens.tokens[level].expand_as(places_last[places])
        assert torch.equal(places_last[places], expected)
        assert torch.equal(places_last[~places],
                           features.permute(0, 2, 3, 1)[~places])


def test_gradient_reaches_each_token_as_often_as_it_is_used(
        hidden_cells, memory):
    tokens = MaskTokens([6, 6, 6])
    sum(masked.sum() for masked in tokens(memory, hidden_cells)).backward()
    cells = hidden_cells.sum().item()
    for token, uses in zip(tokens.tokens, (cells, cells * 4, cells * 16)):
        assert torch.equal(token.grad, torch.full((6, ), float(uses)))


def test_levels_may_differ_in_channels(hidden_cells, memory):
    memory = [memory[0][:, :2], memory[1]]
    tokens = MaskTokens([2, 6])
    for token, masked in zip(tokens.tokens, tokens(memory, hidden_cells)):
        places = resize_mask(hidden_cells, masked.shape[-2:])[:, 0]
        assert (masked.movedim(1, -1)[places] == token).all()


def test_levels_have_tokens_of_their_own():
    tokens = MaskTokens([6, 6, 6]).tokens
    assert len({tuple(token.tolist()) for token in tokens}) == 3


def test_half_precision_memory_stays_so(hidden_cells, memory):
    memory = [features.bfloat16() for features in memory]
    for masked in MaskTokens([6, 6, 6])(memory, hidden_cells):
        assert masked.dtype == torch.bfloat16


# The change of light, by its formula.


def draw_images(count=200):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 8, 8, generator=generator) * 2 + 1


def change(images, seed=1, **options):
    generator = torch.Generator().manual_seed(seed)
    return PhotometricChange(**options)(images, generator)


def spread_evenly(values, largest):
    """Uniform in [-largest, largest], as far as 200 draws show it."""
    assert values.abs().max() <= largest
    assert values.min() < -0.9 * largest and values.max() > 0.9 * largest
    assert values.mean().abs() < 0.15 * largest


def test_brightness_shifts_an_image_as_a_whole():
    images = draw_images()
    shift = change(images, brightness=0.5) - images
    assert (shift.flatten(1).std(1) < 1e-5).all()
    spread_evenly(shift[:, 0, 0, 0], 0.5)


def test_color_shifts_each_channel():
    images = draw_images()
    shift = change(images, color=0.3) - images
    assert (shift.flatten(2).std(2) < 1e-5).all()
    for channel in range(3):
        spread_evenly(shift[:, channel, 0, 0], 0.3)
    assert not torch.allclose(shift[:, 0], shift[:, 1])


def test_contrast_stretches_around_the_mean():
    images = draw_images()
    changed = change(images, contrast=0.4)
    flat, changed = images.flatten(1), changed.flatten(1)
    torch.testing.assert_close(changed.mean(1), flat.mean(1))
    spread_evenly((changed.std(1) / flat.std(1)).log(), 0.4)
    correlation = [
        torch.corrcoef(torch.stack(pair))[0, 1]
        for pair in zip(flat, changed)
    ]
    assert min(correlation) > 0.9999


def test_same_seed_same_change():
    images = draw_images(4)
    options = dict(contrast=0.4, brightness=0.6, color=0.2)
    assert torch.equal(change(images, **options), change(images, **options))
    assert not torch.equal(
        change(images, **options), change(images, seed=2, **options))


def test_none_by_default_and_none_in_eval_mode():
    images = draw_images(4)
    torch.testing.assert_close(change(images), images)
    module = PhotometricChange(contrast=0.4, brightness=0.6).eval()
    assert torch.equal(module(images, torch.Generator()), images)


@pytest.mark.parametrize('name', ['contrast', 'brightness', 'color'])
def test_strength_is_not_negative(name):
    with pytest.raises(ValueError, match='photometric_change.*at least 0'):
        PhotometricChange(**{name: -0.1})


@pytest.mark.parametrize('change', [
    lambda image: InputNoise(per_image=True)(
        image, torch.arange(8).expand(2, 1, 8, 8) < 4, generator()),
    lambda image: PhotometricChange(
        0.4, 0.6, 0.2, per_image=True).train()(image, generator())
], ids=['noise', 'light'])
def test_measured_by_the_image_it_follows_its_scale(change):
    """A dark and flat image is changed as a bright and rich one is."""
    image = torch.randn(2, 3, 8, 8, generator=generator(1))
    torch.testing.assert_close(
        change(0.1 * image - 0.8), 0.1 * change(image) - 0.8)
    assert not torch.allclose(change(image), image, atol=0.1)


def test_noise_measured_by_the_image_tells_nothing_of_hidden_places():
    image = torch.randn(2, 3, 8, 8, generator=generator(1))
    hidden = torch.arange(8).expand(2, 1, 8, 8) < 4
    changed = torch.where(hidden, 5 * image + 3, image)
    noise = InputNoise(per_image=True)
    noisy = noise(image, hidden, generator())
    assert torch.equal(noise(changed, hidden, generator()), noisy)
    # By hand, at the visible places.
    pixels = image[..., 4:].flatten(1)
    spread, mean = (
        value[:, None, None, None]
        for value in (pixels.std(1, unbiased=False), pixels.mean(1)))
    epsilon = randn(image, generator())
    torch.testing.assert_close(
        noisy[..., 4:],
        mean + 0.7**0.5 * (image[..., 4:] - mean)
        + 0.3**0.5 * spread * epsilon[..., 4:])
    torch.testing.assert_close(
        noisy[..., :4], (mean + spread * epsilon)[..., :4])


def test_all_hidden_is_finite_where_noise_is_measured_by_the_image():
    image = torch.randn(2, 3, 8, 8, generator=generator(1))
    hidden = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    hidden[1] = False
    noisy = InputNoise(per_image=True)(image, hidden, generator())
    assert noisy.isfinite().all()
    assert not noisy[0].any() and noisy[1].any()
