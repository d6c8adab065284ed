from fractions import Fraction
from typing import Dict, Sequence


def subset_sizes(num_images: int, shares: Sequence[str],
                 counts: Sequence[int]) -> Dict[str, int]:
    """Name the subsets, and say how many images each has.

    Args:
        num_images (int): Number of images, N.
        shares (Sequence[str]): Fractions, such as '1/16'.
        counts (Sequence[int]): Numbers of images.

    Returns:
        dict[str, int]: Size by name: '1-16' for the share 1/16, '100-images'
        for a number.

    Raises:
        ValueError: If a share or a number cannot be had.
    """
    sizes = {}
    for share in shares:
        try:
            fraction = Fraction(share)
        except (ValueError, ZeroDivisionError):
            fraction = Fraction(0)
        if not 0 < fraction < 1:
            raise ValueError(f'A share must be a fraction between 0 and 1, '
                             f'such as 1/16, but is {share}.')
        name = f'{fraction.numerator}-{fraction.denominator}'
        sizes[name] = max(round(fraction * num_images), 1)
    for count in counts:
        if not 1 <= count <= num_images:
            raise ValueError(f'There are {num_images} images: {count} of them '
                             'cannot be chosen.')
        sizes[f'{count}-images'] = count
    return sizes
