import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def connected_components(regions: Tensor, rounds: int = 12) -> Tensor:
    """Tell apart the connected parts of each region of a map.

    Each component is named by the smallest index of its places. In a round
    the places of a component take the smallest name next to them, then the
    name of that name (pointer jumping), so that a component of n places needs
    about log(n) rounds; and no GPU has to wait for a look at whether all are
    done.

    Args:
        regions (Tensor): Region of each place, int (B, h, w).
        rounds (int): Enough for a grid of 128 x 128. Defaults to 12.

    Returns:
        Tensor: Name of each place's component, int64 in [0, h * w), alike for
        places of one region that are joined by their edges, (B, h, w).
    """
    height, width = regions.shape[-2:]
    names = torch.arange(height * width, device=regions.device)
    names = names.view(1, height, width).expand(regions.shape)
    nothing = height * width
    below = regions[:, 1:] == regions[:, :-1]
    right = regions[:, :, 1:] == regions[:, :, :-1]
    for _ in range(rounds):
        seen = torch.stack([
            names,
            F.pad(names[:, 1:].where(below, nothing), (0, 0, 0, 1), 'constant',
                  nothing),
            F.pad(names[:, :-1].where(below, nothing), (0, 0, 1, 0),
                  'constant', nothing),
            F.pad(names[:, :, 1:].where(right, nothing), (0, 1), 'constant',
                  nothing),
            F.pad(names[:, :, :-1].where(right, nothing), (1, 0), 'constant',
                  nothing),
        ]).amin(0)
        # What one place sees, all of its name learn.
        new = seen.flatten(1)
        new = new.scatter_reduce(1, names.flatten(1), new, 'amin')
        for _ in range(2):
            new = new.gather(1, new)
        names = new.view_as(regions)
    return names
