from itertools import count, islice
from typing import Iterator, Tuple

from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import InfiniteSampler

from ..utils import mix_seed


@DATA_SAMPLERS.register_module()
class SeekableInfiniteSampler(InfiniteSampler):
    """An infinite sampler that can start anywhere and seeds each sample.

    It yields ``(index, seed)``: the image, in the order of mmengine's
    :class:`~mmengine.dataset.InfiniteSampler`, and a seed for its
    augmentation that depends on nothing but the sampler's seed and the number
    of the draw. So a resumed run goes on with the very samples that the
    interrupted one would have seen, whatever the number of workers, and
    reads none of the earlier images again.
    The dataset takes such pairs, as :class:`UnlabeledImageDataset` does.
    """

    first_draw = 0

    def seek(self, first_draw: int, seed: int) -> None:
        """Let the next iterator start later.

        Args:
            first_draw (int): Number of samples that this rank has had.
            seed (int): The seed with which it had them.
        """
        self.first_draw = first_draw
        self.seed = seed

    def __iter__(self) -> Iterator[Tuple[int, int]]:
        """Iterate over image index and sample seed."""
        start = self.rank + self.first_draw * self.world_size
        draws = islice(
            zip(self._infinite_indices(), count()), start, None,
            self.world_size)
        for index, draw in draws:
            yield index, mix_seed(self.seed, draw)
