import torch
from mmengine.model import BaseModule
from torch import Tensor

from ..utils import require_share
from .step_random import randn


class RandomQueries(BaseModule):
    r"""Learned queries mixed with noise.

    .. math:: Q = \sqrt{1 - \sigma^2} \, Q_{learned} + \sigma n,
              \quad n \sim N(0, I)

    :math:`\sigma = 1` is the paper's "random queries";
    :class:`~mask_jepa.hooks.QueryNoiseHook` schedules it, so that
    the learned queries can be trained too (ours).

    Args:
        sigma (float): Share of noise before any schedule sets it, in [0, 1].
            Defaults to 1.0.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        self.register_buffer('sigma', torch.tensor(1.0))
        # The exporter must know whether Q_learned has ever been used.
        self.register_buffer('lowest_sigma', torch.tensor(1.0))
        self.set_sigma(sigma)

    def set_sigma(self, sigma: float) -> None:
        """Set the share of noise; a ValueError if it lies outside [0, 1]."""
        require_share('The query noise sigma', sigma)
        self.sigma.fill_(sigma)

    def forward(self, learned: Tensor, batch_size: int,
                generator: torch.Generator) -> Tensor:
        """Draw the queries of one step, (B, N, C), from Q_learned, (N, C)."""
        if self.training:
            torch.minimum(self.lowest_sigma, self.sigma, out=self.lowest_sigma)
        learned = learned.expand(batch_size, -1, -1)
        noise = randn(learned, generator)
        return (1 - self.sigma**2).sqrt() * learned + self.sigma * noise
