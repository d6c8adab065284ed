from typing import Dict, List, Optional, Sequence, Set

import numpy as np


def choose_images(num_images: int,
                  fraction: float,
                  seed: int,
                  classes: Optional[Sequence[Set[int]]] = None) -> List[int]:
    """Choose the labelled images; fewer are always part of more.

    Args:
        num_images (int): Images in all, N.
        fraction (float): Share to choose, in (0, 1]; at least one image.
        seed (int): Another seed chooses other images.
        classes (Sequence[set[int]], optional): Classes in each image. Then
            images with rare classes come first.

    Returns:
        list[int]: Indices, ascending.
    """
    order = np.random.default_rng(seed).permutation(num_images).tolist()
    if classes is not None:
        order = _balance(order, classes)
    return sorted(order[:max(round(fraction * num_images), 1)])


def _balance(order: List[int], classes: Sequence[Set[int]]) -> List[int]:
    """Let the next image show the class that was chosen least often."""
    waiting: Dict[int, List[int]] = {}
    for image in reversed(order):
        for name in classes[image]:
            waiting.setdefault(name, []).append(image)
    chosen: Dict[int, None] = {}
    counts = dict.fromkeys(sorted(waiting), 0)
    while counts:
        name = min(counts, key=counts.__getitem__)
        while waiting[name] and waiting[name][-1] in chosen:
            waiting[name].pop()
        if not waiting[name]:
            del counts[name]
            continue
        image = waiting[name][-1]
        chosen[image] = None
        for seen in classes[image] & counts.keys():
            counts[seen] += 1
    # Images without any class come last.
    return [*chosen, *(image for image in order if image not in chosen)]
