from typing import List

import numpy as np


def evenly_spread(length: int, count: int) -> List[int]:
    """Choose indices from the first to the last at even distances.

    Args:
        length (int): How many there are.
        count (int): How many are wanted; all of them, if there are fewer.

    Returns:
        list[int]: Increasing.
    """
    count = min(count, length)
    return np.linspace(0, length - 1, count).round().astype(int).tolist()
