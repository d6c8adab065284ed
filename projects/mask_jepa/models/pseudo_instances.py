from typing import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from ..losses import MaskLabels
from ..utils import require_share
from .connected_components import connected_components
from .prototypes import find_owners


class PseudoInstances(BaseModule):
    """Things in an image, found without labels, as labels for masks (ours).

    The places of an image are clustered by colour, image by image, coarsely
    and less coarsely; the connected parts of a cluster are candidates. What
    is tiny, what fills the image, and what leaves it on more than two sides,
    is no thing. Clusters over the data set (:class:`Prototypes`) merge all
    things of a kind in an image; these masks hold one.

    Args:
        thing_class (int): Class of all of them.
        num_clusters (Sequence[int]): Clusters of an image, once for each
            number; of masks that are much alike the first is kept.
            Defaults to (2, 3).
        stride (int): Of the grid of the masks, in pixels. Defaults to 4.
        rounds (int): Rounds of k-means. Defaults to 8.
        min_places (int): Places of the smallest thing, at least 1.
            Defaults to 4.
        max_share (float): Share of the image that the largest covers, in
            [0, 1]. Defaults to 0.4.
        max_instances (int): Masks of an image; more are cut, from the
            smallest. Defaults to 32.
        loss_weight (float): Weight of the head's losses with these labels;
            with prototypes beside them, theirs counts. Defaults to 0.03.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    def __init__(self,
                 thing_class: int,
                 num_clusters: Sequence[int] = (2, 3),
                 stride: int = 4,
                 rounds: int = 8,
                 min_places: int = 4,
                 max_share: float = 0.4,
                 max_instances: int = 32,
                 loss_weight: float = 0.03) -> None:
        super().__init__()
        require_share('model.pseudo_instances.max_share', max_share)
        if min(*num_clusters, 2) < 2 or min(stride, rounds, min_places,
                                            max_instances) < 1:
            raise ValueError(
                'model.pseudo_instances needs num_clusters of 2 or more, and '
                'stride, rounds, min_places and max_instances of 1 or more.')
        self.thing_class = thing_class
        self.num_clusters = tuple(num_clusters)
        self.stride = stride
        self.rounds = rounds
        self.min_places = min_places
        self.max_share = max_share
        self.max_instances = max_instances
        self.loss_weight = loss_weight

    @torch.no_grad()
    def forward(self, image: Tensor) -> MaskLabels:
        """Find things in clean images, (B, 3, H, W): masks on the grid,
        (B, M, H/stride, W/stride), the present ones first."""
        # Autocast would count places in half precision.
        with torch.autocast(image.device.type, enabled=False):
            return self._find(image)

    def _find(self, image: Tensor) -> MaskLabels:
        colours = F.avg_pool2d(image.float(), self.stride)
        places = colours.flatten(2).transpose(1, 2)
        found = []
        for count in self.num_clusters:
            clusters = cluster_places(places, count, self.rounds)
            clusters = clusters.unflatten(1, colours.shape[-2:])
            found.append(self._largest(connected_components(clusters)))
        masks = _drop_repeated(torch.cat(found, dim=1))
        present = masks.any(dim=(2, 3))
        order = present.sort(
            dim=1, descending=True,
            stable=True).indices[:, :self.max_instances]
        masks = masks.gather(
            1, order[..., None, None].expand(-1, -1, *masks.shape[-2:]))
        classes = torch.full_like(order, self.thing_class)
        return MaskLabels(classes, masks.float(), present.gather(1, order))

    def _largest(self, names: Tensor) -> Tensor:
        """Make masks, bool (B, M, h, w), of the largest components that are
        things, by their names, int (B, h, w)."""
        flat = names.flatten(1)
        ones = torch.ones_like(flat)
        areas = torch.zeros_like(flat).scatter_add(1, flat, ones)
        sides = sum(
            torch.zeros_like(flat).scatter(1, side, 1)
            for side in (names[:, 0], names[:, -1], names[:, :, 0], names[:, :,
                                                                          -1]))
        things = (areas >= self.min_places) & (sides <= 2)
        things &= areas <= self.max_share * flat.shape[1]
        areas, chosen = (areas * things).topk(
            min(self.max_instances, flat.shape[1]), dim=1)
        masks = names[:, None] == chosen[..., None, None]
        return masks & (areas > 0)[..., None, None]


def cluster_places(places: Tensor, count: int, rounds: int) -> Tensor:
    """Run k-means in each image, from places that are far apart.

    Args:
        places (Tensor): Features, (B, P, C).
        count (int): Clusters, K.
        rounds (int): Moves of their centres.

    Returns:
        Tensor: Cluster of each place, int64 in [0, K), (B, P).
    """
    images = torch.arange(len(places), device=places.device)

    def find_farthest(centers: Tensor) -> Tensor:
        distances = torch.cdist(places, centers).amin(-1)
        return places[images, distances.argmax(1), None]

    centers = find_farthest(places.mean(1, keepdim=True))
    for _ in range(count - 1):
        centers = torch.cat([centers, find_farthest(centers)], dim=1)
    for _ in range(rounds):
        shares = find_owners(places, centers).transpose(1, 2)
        sizes = shares.sum(2, keepdim=True)
        centers = torch.where(sizes > 0, shares @ places / sizes.clamp(min=1),
                              centers)
    return find_owners(places, centers).argmax(-1)


def _drop_repeated(masks: Tensor) -> Tensor:
    """Empty each mask, bool (B, M, h, w), of which an earlier one covers the
    same but for half of their union."""
    flat = masks.flatten(2).float()
    overlap = flat @ flat.transpose(1, 2)
    areas = flat.sum(2)
    union = areas[:, :, None] + areas[:, None] - overlap
    repeated = (overlap > 0.5 * union).tril(diagonal=-1).any(dim=2)
    return masks & ~repeated[..., None, None]
