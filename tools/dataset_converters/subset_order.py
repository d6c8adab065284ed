import heapq
from typing import Dict, List, Optional, Sequence, Set

import numpy as np


def subset_order(num_images: int,
                 seed: int,
                 classes: Optional[Sequence[Set[int]]] = None) -> List[int]:
    """Put images into an order of which every beginning is a subset.

    So smaller subsets lie within larger ones.

    Args:
        num_images (int): Number of images, N.
        seed (int): Of the order.
        classes (Sequence[set[int]], optional): Classes in each image. Then
            the next image is always one with the class that the images
            before it have least often, as long as there is one.

    Returns:
        list[int]: Indices of all images.
    """
    shuffled = np.random.default_rng(seed).permutation(num_images).tolist()
    if classes is None:
        return shuffled
    waiting: Dict[int, List[int]] = {}
    for image in reversed(shuffled):
        for name in classes[image]:
            waiting.setdefault(name, []).append(image)
    chosen: Dict[int, None] = {}
    counts = dict.fromkeys(waiting, 0)
    rarest = [(0, name) for name in sorted(waiting)]
    while rarest:
        count, name = heapq.heappop(rarest)
        if count < counts[name]:
            heapq.heappush(rarest, (counts[name], name))
            continue
        while waiting[name] and waiting[name][-1] in chosen:
            waiting[name].pop()
        if not waiting[name]:
            continue
        image = waiting[name].pop()
        chosen[image] = None
        for seen in classes[image]:
            counts[seen] += 1
        heapq.heappush(rarest, (counts[name], name))
    # Images without any class come last.
    return [*chosen, *(image for image in shuffled if image not in chosen)]
