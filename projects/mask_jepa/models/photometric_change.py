import torch
from mmengine.model import BaseModule
from torch import Tensor


class PhotometricChange(BaseModule):
    r"""Show the online encoder the image in another light (ours).

    The target sees the image as it is, so that features of content, not of
    light, are what can be predicted. Each image gets its own

    .. math:: x' = e^{c} (x - \bar x) + \bar x + b + k,

    with :math:`\bar x` its mean, and contrast c, brightness b (one number
    each) and colour k (one for each channel) uniform around zero. In eval
    mode the image stays as it is.

    This comes before places are hidden, so in training one number of the
    hidden places, their share in :math:`\bar x`, is seen in the visible ones.

    Args:
        contrast (float): Largest \|c\|, at least 0. Defaults to 0.0.
        brightness (float): Largest \|b\|, in standard deviations of the
            normalised image, at least 0. Defaults to 0.0.
        color (float): Largest \|k\|, in the same unit. Defaults to 0.0.
        per_image (bool): Measure brightness and colour in standard deviations
            of the image itself. Defaults to False.

    Raises:
        ValueError: If one is negative.
    """

    def __init__(self,
                 contrast: float = 0.0,
                 brightness: float = 0.0,
                 color: float = 0.0,
                 per_image: bool = False) -> None:
        super().__init__()
        if min(contrast, brightness, color) < 0:
            raise ValueError(
                'model.photometric_change: contrast, brightness and color '
                f'must be at least 0, but are {contrast}, {brightness}, '
                f'{color}.')
        self.contrast = contrast
        self.brightness = brightness
        self.color = color
        self.per_image = per_image

    def forward(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Change each of the images, (B, 3, H, W), in its own way."""
        if not self.training:
            return image

        def draw(largest: float, channels: int) -> Tensor:
            shape = (len(image), channels, 1, 1)
            uniform = torch.rand(
                shape, generator=generator, device=image.device)
            return largest * (2 * uniform - 1).to(image)

        spread, mean = torch.std_mean(image, (1, 2, 3), keepdim=True)
        changed = (image - mean) * draw(self.contrast, 1).exp() + mean
        shift = draw(self.brightness, 1) + draw(self.color, image.shape[1])
        return changed + (spread * shift if self.per_image else shift)
