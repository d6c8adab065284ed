from functools import partial
from itertools import count, islice
from typing import Any, Iterator, List, Optional, Sequence

from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import InfiniteSampler

from ..utils import fixed_seed, mix_seed


class SeededIndex(int):
    """Index of an image that also knows the seed of its augmentation."""

    def __new__(cls, index: int, seed: Optional[int] = None) -> 'SeededIndex':
        self = super().__new__(cls, index)
        self.seed = seed
        return self


def load_seeded(dataset: Sequence, indices: Sequence[SeededIndex]) -> List:
    """Load samples of any data set, each by its own seed."""

    def load(index: SeededIndex) -> Any:
        with fixed_seed(index.seed):
            return dataset[index]

    return [load(index) for index in indices]


@DATA_SAMPLERS.register_module()
class SeekableInfiniteSampler(InfiniteSampler):
    """An infinite sampler that can start anywhere and seeds each sample.

    It yields each :class:`SeededIndex` in the order of mmengine's
    :class:`~mmengine.dataset.InfiniteSampler`, with a seed for the
    augmentation that depends on nothing but the sampler's seed and the number
    of the draw. So a resumed run goes on with the very samples that the
    interrupted one would have seen, whatever the number of workers, and
    reads none of the earlier images again.

    The data set may be any: it is given torch's ``__getitems__``, by which a
    DataLoader asks for the samples of a batch, and which seeds each of them.
    """

    first_draw = 0

    def __init__(self, dataset: Sequence, *args, **kwargs) -> None:
        super().__init__(dataset, *args, **kwargs)
        dataset.__getitems__ = partial(load_seeded, dataset)

    def seek(self, first_draw: int, seed: int) -> None:
        """Let the next iterator start later.

        Args:
            first_draw (int): Number of samples that this rank has had.
            seed (int): The seed with which it had them.
        """
        self.first_draw = first_draw
        self.seed = seed

    def __iter__(self) -> Iterator[SeededIndex]:
        """Iterate over the indices of images, each with its seed."""
        start = self.rank + self.first_draw * self.world_size
        draws = islice(
            zip(self._infinite_indices(), count()), start, None,
            self.world_size)
        for index, draw in draws:
            yield SeededIndex(index, mix_seed(self.seed, draw))
