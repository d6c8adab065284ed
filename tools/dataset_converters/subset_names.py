import re

# What subset_sizes() and choice_suffix() put behind the name of the whole.
SUBSET = re.compile(r'_(\d+-\d+|\d+-images)(_balanced)?(_seed\d+)?$')


def choice_suffix(balanced: bool, seed: int) -> str:
    """Say how images were chosen, as far as it is not the default.

    So no choice takes the place of another's file, which configs may read.

    Args:
        balanced (bool): Whether rare classes come first.
        seed (int): Of the order.

    Returns:
        str: Goes behind the name of a subset; nothing for the default.

    Raises:
        ValueError: If the seed is negative.
    """
    if seed < 0:
        raise ValueError(f'A seed must be 0 or more, but is {seed}.')
    return ('_balanced' if balanced else '') + (f'_seed{seed}' if seed else '')


def names_subset(stem: str) -> bool:
    """Tell whether a file is called as this tool calls a subset.

    Args:
        stem (str): Name of the file, without its ending.

    Returns:
        bool: Whether it is.
    """
    return SUBSET.search(stem) is not None
