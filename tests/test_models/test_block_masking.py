import pytest
import torch

from projects.mask_jepa.models.block_masking import BlockMasking, resize_mask


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
