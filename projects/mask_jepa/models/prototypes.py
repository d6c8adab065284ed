import torch
from mmengine.dist import all_reduce, broadcast
from mmengine.model import BaseModule
from torch import Tensor

from ..losses import MaskLabels
from ..utils import require_share

GOLDEN_RATIO = 0.6180339887


class Prototypes(BaseModule):
    r"""What recurs in the target's features, as labels for masks (ours).

    Online k-means over the places of all images seen. In each step a place
    goes to its nearest prototype, and each prototype moves towards the mean
    of its places. The regions of one prototype in an image are then a
    pseudo-instance of that class, from which mask classification learns as
    it will learn from labels.

    Args:
        num_prototypes (int): K, the classes of the head.
        channels (int): Channels of the target, C.
        momentum (float): Share of a prototype that stays in a round, in
            [0, 1). Defaults to 0.9.
        rounds (int): Rounds of k-means in a step. Defaults to 2.
        min_share (float): A prototype whose places, averaged over the last
            steps, are fewer than this share of an even one moves to a place
            of the batch; in [0, 1). Defaults to 0.01.
        min_places (int): Places that make an instance, at least 1.
            Defaults to 4.
        loss_weight (float): Weight of the head's losses with these labels.
            Defaults to 0.03.
        stock_losses (bool): Match and compare as mmdet does, image by image
            and layer by layer, at points of the masks in full resolution:
            slower, and with the noise of the points. False is for
            :class:`MatchedMaskLoss`. Defaults to False.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    def __init__(self,
                 num_prototypes: int,
                 channels: int,
                 momentum: float = 0.9,
                 rounds: int = 2,
                 min_share: float = 0.01,
                 min_places: int = 4,
                 loss_weight: float = 0.03,
                 stock_losses: bool = False) -> None:
        super().__init__()
        require_share('model.prototypes.momentum', momentum, below_one=True)
        require_share('model.prototypes.min_share', min_share, below_one=True)
        if rounds < 1 or min_places < 1:
            raise ValueError('model.prototypes.rounds and min_places must be '
                             f'at least 1, but are {rounds}, {min_places}.')
        if num_prototypes < 2:
            raise ValueError('model.prototypes needs a head of 2 classes at '
                             'least, one for each: raise model.panoptic_head.'
                             'num_things_classes, or write prototypes=None.')
        self.momentum = momentum
        self.rounds = rounds
        self.min_share = min_share
        self.min_places = min_places
        self.loss_weight = loss_weight
        self.stock_losses = stock_losses
        self.register_buffer('centers', torch.zeros(num_prototypes, channels))
        # Places of each prototype over those of an even share, on average.
        self.register_buffer('shares', torch.zeros(num_prototypes))

    @torch.no_grad()
    def forward(self, target: Tensor) -> MaskLabels:
        """Label the regions of a target, (B, C, h, w), after a move in
        training.

        An image has a mask for each prototype, whose class is its index; it is
        present where it is large enough.
        """
        target = target.float()
        # Autocast would take the sums over the places in half precision.
        with torch.autocast(target.device.type, enabled=False):
            if self.training:
                places = target.movedim(1, -1).flatten(0, -2)
                self._revive(places)
                for _ in range(self.rounds):
                    self._move(places)
            masks = self.assign(target)
        classes = torch.arange(len(self.centers), device=masks.device)
        present = masks.sum((2, 3)) >= self.min_places
        return MaskLabels(classes.expand_as(present), masks, present)

    def assign(self, target: Tensor) -> Tensor:
        """Give each place of a target, (B, C, h, w), to its nearest prototype:
        one where that owns the place, else zero, float (B, K, h, w)."""
        places = target.movedim(1, -1)
        owners = find_owners(places.flatten(1, 2), self.centers).movedim(-1, 1)
        return owners.unflatten(-1, target.shape[-2:])

    def _revive(self, places: Tensor) -> None:
        """Move prototypes without places (all, at first) into the batch.

        To places that are spread over it by the golden ratio: a grid would
        hit the same column of each image.
        """
        # Without a look at whether there are any, for which a GPU would wait.
        idle = self.shares < self.min_share
        spread = torch.arange(len(idle), device=places.device) * GOLDEN_RATIO
        candidates = places[(spread % 1 * len(places)).long()]
        broadcast(candidates)
        self.centers.copy_(
            torch.where(idle[:, None], candidates, self.centers))
        self.shares.masked_fill_(idle, 1)

    def _move(self, places: Tensor) -> None:
        owners = find_owners(places, self.centers)
        counts = owners.sum(0)
        totals = torch.cat([counts[:, None], owners.T @ places], dim=1)
        all_reduce(totals)
        counts, sums = totals[:, 0], totals[:, 1:]
        means = sums / counts.clamp(min=1)[:, None]
        step = (1 - self.momentum) * (counts > 0)[:, None]
        self.centers += step * (means - self.centers)
        even_share = counts.sum() / len(counts)
        self.shares.lerp_(counts / even_share, 0.05)


def find_owners(places: Tensor, centers: Tensor) -> Tensor:
    """Give each place, (..., P, C), to its nearest centre, (..., K, C): one
    for that, else zero, (..., P, K)."""
    nearest = torch.cdist(places, centers).argmin(-1, keepdim=True)
    nothing = places.new_zeros(*nearest.shape[:-1], centers.shape[-2])
    # torch's one_hot looks at the values, for which a GPU would wait.
    return nothing.scatter_(-1, nearest, 1)


def segment(class_scores: Tensor, mask_logits: Tensor) -> Tensor:
    """Read a class map off masks (Cheng et al., NeurIPS 2021, Sec. 3.4).

    Args:
        class_scores (Tensor): The last one for "no object", (B, N, K + 1).
        mask_logits (Tensor): Of the same queries, (B, N, h, w).

    Returns:
        Tensor: Class of each place, int64 in [0, K), (B, h, w).
    """
    classes = class_scores.softmax(-1)[..., :-1]
    return torch.einsum('bnk,bnhw->bkhw', classes,
                        mask_logits.sigmoid()).argmax(1)
