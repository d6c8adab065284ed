import random
from contextlib import contextmanager
from typing import Iterator, List

import numpy as np
import torch


def mix_seed(*numbers: int) -> int:
    """Mix non-negative integers into a seed of torch's, in [0, 2^63).

    Neighbouring inputs (step 4 of rank 0, step 4 of rank 1) give unrelated
    seeds, which sums or products of them do not.
    """
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


@contextmanager
def fixed_seed(seed: int) -> Iterator[None]:
    """Seed python, numpy and torch (CPU) for a block, then put them back.

    Image transforms draw from these global generators, so what they draw can
    only be fixed there. The seed lies in [0, 2^63).
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    torch_state = torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)


@contextmanager
def global_seed(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's global generators for a block, then put them back.

    For what can be given no generator of its own: the seed is drawn from this
    one; generators of its device and of the CPU are seeded.
    """
    device = generator.device
    seed = int(torch.randint(2**62, (1, ), generator=generator, device=device))
    devices = [device] if device.type == 'cuda' else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def evenly_spread(length: int, count: int) -> List[int]:
    """Choose ``count`` indices, or all if there are fewer, from the first to
    the last of ``length`` at even distances."""
    count = min(count, length)
    return np.linspace(0, length - 1, count).round().astype(int).tolist()
