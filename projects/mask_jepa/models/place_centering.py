from typing import Dict, Optional

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor

from ..utils import require_share


class PlaceCentering(BaseModule):
    r"""Take out of the target what all images have at a place (ours).

    Lay-out (the road lies below), positional encodings and zero padding make
    the features of a place alike in all images. That part can be predicted
    without a look at the image, so a JEPA loss learns little else first; and
    it would make clusters of places, not of content. Here the running mean
    over images is subtracted at each place:

    .. math:: T_p \leftarrow \mathrm{LN}(T_p) - \mu_p, \qquad
              \mu \leftarrow m \mu + (1 - m) \, \mathrm{mean}_B \mathrm{LN}(T)

    It is DINO's centring (Caron et al., ICCV 2021, Eq. 4), place by place.

    Args:
        channels (int): Channels of the target, C.
        size (int, optional): Side of the grid on which the mean is kept;
            None takes the grid of the first target. A target of another grid
            is resized. Defaults to None.
        momentum (float): Share m of the mean that stays in a step, in
            [0, 1); until 1 / (1 - m) steps are done, the mean is that of all
            steps. Defaults to 0.99.

    Raises:
        ValueError: If the momentum lies outside.
    """

    def __init__(self,
                 channels: int,
                 size: Optional[int] = None,
                 momentum: float = 0.99) -> None:
        super().__init__()
        require_share('model.centering.momentum', momentum, below_one=True)
        self.momentum = momentum
        side = size or 0
        self.register_buffer('mean', torch.zeros(channels, side, side))
        self.register_buffer('steps', torch.tensor(0, dtype=torch.int64))

    @torch.no_grad()
    def forward(self, target: Tensor) -> Tensor:
        """Layer-normalise and centre a target, (B, C, h, w), in float32; in
        training, move the mean first."""
        target = target.float().movedim(1, -1)
        target = F.layer_norm(target, target.shape[-1:]).movedim(-1, 1)
        if self.training:
            self._move_mean(target)
        if self.mean.numel() == 0:  # no target so far
            return target
        mean = _resize(self.mean[None], target.shape[-2:])
        return target - mean

    def _move_mean(self, target: Tensor) -> None:
        if self.mean.numel() == 0:
            self.mean = target.new_zeros(target.shape[1:])
        mean = _resize(target.mean(0, keepdim=True), self.mean.shape[-2:])[0]
        all_reduce(mean, op='mean')
        self.steps += 1
        share = (1 / self.steps).clamp(min=1 - self.momentum)
        self.mean.lerp_(mean, share)

    def _load_from_state_dict(self, state_dict: Dict[str, Tensor], prefix: str,
                              *args, **kwargs) -> None:
        """Take the grid of the checkpoint."""
        mean = state_dict.get(f'{prefix}mean')
        if mean is not None and len(mean) == len(self.mean):
            self.mean = self.mean.new_zeros(mean.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _resize(maps: Tensor, size: torch.Size) -> Tensor:
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size, mode='bilinear', align_corners=False)
