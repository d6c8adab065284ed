from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional

import torch
import torch.nn as nn
from mmengine.dist import get_rank
from torch import Tensor

from ..utils import evaluating, mix_seed


class StepRandom(nn.Module):
    """Random numbers as a function of seed, rank and training step.

    The seed and the step travel with every checkpoint: a resumed run
    continues with the numbers that the interrupted one would have drawn, on
    every rank, although only rank 0 saves. They are Python's, for to read
    them from a GPU would wait for it. In eval mode the step stands still and
    each call draws the same numbers.

    Args:
        seed (int, optional): Seed of this module. None takes the seed that
            torch was given last, which in a Runner is ``randomness.seed``.
            Defaults to None.
    """

    def __init__(self, seed: Optional[int] = None) -> None:
        super().__init__()
        if seed is None:
            # Only what fits torch's seeds and a signed 64-bit tensor.
            seed = torch.initial_seed() % 2**32
        self.seed = seed
        self.step = 0

    def forward(self, device: torch.device) -> torch.Generator:
        """Make the generator of this step, to be drawn from in one fixed
        order, and, in training, count the step."""
        seed = mix_seed(self.seed, get_rank(), self.step)
        if self.training:
            self.step += 1
        return torch.Generator(device).manual_seed(seed)

    def _save_to_state_dict(self, destination: Dict[str, Tensor], prefix: str,
                            keep_vars: bool) -> None:
        """Save both as if they were buffers."""
        for name in ('seed', 'step'):
            destination[prefix + name] = torch.tensor(getattr(self, name))

    def _load_from_state_dict(self, state_dict: Dict[str, Tensor], prefix: str,
                              local_metadata: dict, strict: bool,
                              missing_keys: List[str], *args) -> None:
        """Load both as if they were buffers."""
        for name in ('seed', 'step'):
            if prefix + name in state_dict:
                setattr(self, name, int(state_dict[prefix + name]))
            elif strict:
                missing_keys.append(prefix + name)


def randn(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from N(0, 1), as ``torch.randn_like``, which takes no generator."""
    return torch.randn(
        like.shape, generator=generator, device=like.device, dtype=like.dtype)


@contextmanager
def first_step(model: nn.Module) -> Iterator[None]:
    """Evaluate a ``MaskJEPA`` with the random numbers of its first step."""
    step, model.random.step = model.random.step, 0
    try:
        with evaluating(model):
            yield
    finally:
        model.random.step = step
