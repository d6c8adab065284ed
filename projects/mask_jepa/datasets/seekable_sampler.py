import math
from functools import partial
from itertools import count, islice
from typing import Any, Iterator, List, Optional, Sequence

import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import InfiniteSampler

from ..utils import fixed_seed, mix_seed

KEY = 'train_dataloader.sampler.source_weights'
CHUNK = 1024  # sources that are drawn at once


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


def require_weights(weights: Sequence[float], dataset: Sequence) -> None:
    """Raise a ValueError unless there is one for each source, of at least 0,
    and not only 0."""
    ends = [0, *getattr(dataset, 'cumulative_sizes', [len(dataset)])]
    if len(weights) != len(ends) - 1:
        raise ValueError(
            f'{KEY} has {len(weights)} weights for {len(ends) - 1} sources of '
            'images: give one for each, in their order.')
    if ends[-1] != len(dataset):
        raise ValueError(
            f'{KEY} is for whole sources, but '
            'train_dataloader.dataset.indices takes some of their images '
            'alone: leave one of them out.')
    if not (all(0 <= weight < math.inf
                for weight in weights) and any(weights)):
        raise ValueError(
            f'{KEY}={list(weights)} must be numbers of at least 0, and one '
            'above 0: leave a source out of data_root for none of it.')
    for weight, begin, end in zip(weights, ends, ends[1:]):
        if weight and begin == end:
            raise ValueError(f'{KEY}={list(weights)} draws from a source '
                             'without images: leave it out, or write 0.')


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

    Args:
        dataset (Sequence): The data.
        *args: As for :class:`~mmengine.dataset.InfiniteSampler`.
        source_weights (Sequence[float], optional): For each source of an
            :class:`UnlabeledImageDataset`, or data set of a
            ``ConcatDataset``, how much of the samples comes from it, relative
            to the others, at least 0. Each image of a source comes once
            before any comes again. Defaults to None: all images alike.
        **kwargs: The same.

    Raises:
        ValueError: If the weights are no such numbers, or not one a source.
    """

    first_draw = 0

    def __init__(self,
                 dataset: Sequence,
                 *args,
                 source_weights: Optional[Sequence[float]] = None,
                 **kwargs) -> None:
        super().__init__(dataset, *args, **kwargs)
        self.source_weights = source_weights
        if source_weights is not None:
            require_weights(source_weights, dataset)
        dataset.__getitems__ = partial(load_seeded, dataset)

    def seek(self, first_draw: int, seed: int) -> None:
        """Let the next iterator start later.

        Args:
            first_draw (int): Number of samples that this rank has had.
            seed (int): The seed with which it had them.
        """
        self.first_draw = first_draw
        self.seed = seed

    def skip(self, num_samples: int) -> None:
        """Start where a resumed loop asks for, unless told by :meth:`seek`.

        The loop of onedl-mmengine calls it, and knows of no other batch size
        before.

        Args:
            num_samples (int): Number of samples that this rank has had, by
                the present batch size.
        """
        self.first_draw = self.first_draw or num_samples

    def _infinite_indices(self) -> Iterator[int]:
        """As mmengine's, or each from a source that is drawn by weight."""
        if self.source_weights is None:
            yield from super()._infinite_indices()
            return
        ends = [0, *self.dataset.cumulative_sizes]
        streams = [
            InfiniteSampler(
                range(begin, end), self.shuffle,
                mix_seed(self.seed, number))._infinite_indices()
            for number, (begin, end) in enumerate(zip(ends, ends[1:]))
        ]
        weights = torch.tensor(self.source_weights, dtype=torch.float64)
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            for source in torch.multinomial(
                    weights, CHUNK, replacement=True,
                    generator=generator).tolist():
                yield ends[source] + next(streams[source])

    def __iter__(self) -> Iterator[SeededIndex]:
        """Iterate over the indices of images, each with its seed."""
        start = self.rank + self.first_draw * self.world_size
        draws = islice(
            zip(self._infinite_indices(), count()), start, None,
            self.world_size)
        for index, draw in draws:
            yield SeededIndex(index, mix_seed(self.seed, draw))
