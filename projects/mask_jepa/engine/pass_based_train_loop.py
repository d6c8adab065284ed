import math
from typing import Dict, Optional, Union

from mmdet.registry import LOOPS
from mmengine.dist import get_world_size
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader


@LOOPS.register_module()
class PassBasedTrainLoop(IterBasedTrainLoop):
    """Train for a number of passes over the images, however many there are.

    All else is counted in iterations, as in
    :class:`mmengine.runner.IterBasedTrainLoop`, whose other arguments it
    takes.

    Args:
        max_passes (int | float): How often each image is seen, above 0.
        max_images (int, optional): How many images are seen at most, so that
            a large data set is passed less often; None: no bound.
        min_images (int, optional): How many are seen at least, so that a few
            images are passed more often; None: no bound.
        max_iters (int, optional): Iterations in place of both; None: as many
            as they take.

    Raises:
        ValueError: If a number is not positive, or the bounds cross.
    """

    def __init__(self,
                 runner: Runner,
                 dataloader: Union[DataLoader, Dict],
                 max_passes: float,
                 max_images: Optional[int] = None,
                 min_images: Optional[int] = None,
                 max_iters: Optional[int] = None,
                 **kwargs) -> None:
        if not max_passes > 0 or (max_images is not None and max_images < 1):
            raise ValueError(
                'train_cfg.max_passes and max_images must be positive, but '
                f'are {max_passes} and {max_images}.')
        if min_images and max_images and min_images > max_images:
            raise ValueError(
                f'train_cfg.min_images={min_images} must not be above '
                f'max_images={max_images}.')
        super().__init__(
            runner, dataloader, max_iters=max_iters or 1, **kwargs)
        if max_iters is not None:
            return
        images = max(max_passes * len(self.dataloader.dataset), min_images
                     or 0)
        batch = self.dataloader.batch_sampler.batch_size * get_world_size()
        self._max_iters = math.ceil(min(images, max_images or images) / batch)
