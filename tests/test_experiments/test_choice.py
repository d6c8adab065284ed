"""Which images have labels."""
import pytest

from projects.mask_jepa.experiments import choose_images


@pytest.mark.parametrize('fraction, count', [(1 / 16, 8), (1 / 8, 15),
                                             (1 / 4, 31), (1, 123),
                                             (0.001, 1)])
def test_number_of_labelled_images(fraction, count):
    images = choose_images(123, fraction, seed=0)
    assert len(set(images)) == len(images) == count
    assert images == sorted(images)
    assert set(images) <= set(range(123))


def test_fewer_images_are_part_of_more():
    chosen = [
        set(choose_images(123, fraction, seed=5))
        for fraction in (1 / 16, 1 / 8, 1 / 4, 1)
    ]
    for fewer, more in zip(chosen, chosen[1:]):
        assert fewer < more


def test_images_depend_on_the_seed_alone():
    first = choose_images(123, 1 / 4, seed=0)
    assert choose_images(123, 1 / 4, seed=0) == first
    others = [choose_images(123, 1 / 4, seed=seed) for seed in range(1, 5)]
    assert first not in others
    # The choice is spread over the set.
    assert min(first) < 20 and max(first) > 100


def test_rare_classes_come_first_when_balanced():
    classes = [{0} for _ in range(100)]
    for image, name in {17: 1, 60: 1, 42: 2, 99: 3}.items():
        classes[image] = {0, name}
    classes[5] = set()

    def choose(count):
        return set(choose_images(100, count / 100, 0, classes))

    # Four classes; two images show the rarest of them first of all.
    assert {1, 2, 3} <= set().union(*(classes[index] for index in choose(4)))
    assert {17, 60, 42, 99} <= choose(6) < choose(50) < choose(99)
    assert choose(99) == set(range(100)) - {5}
    assert not {17, 60, 42, 99} <= set(choose_images(100, 0.06, seed=0))
