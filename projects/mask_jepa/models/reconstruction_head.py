import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor


class ReconstructionHead(BaseModule):
    """Predict the clean image from the mask features F_last.

    The paper: F_last "undergoes a 1x1 convolution, predicting the original
    image x" (Fig. 3). F_last is ``stride`` times smaller than the image, so
    the convolution gives ``stride**2`` channels for each of the image, and a
    pixel shuffle lays them out (ours).

    Args:
        channels (int): Channels of F_last.
        image_channels (int): Channels of the image. Defaults to 3.
        stride (int): Stride of F_last. Defaults to 4.
    """

    def __init__(self,
                 channels: int,
                 image_channels: int = 3,
                 stride: int = 4) -> None:
        super().__init__()
        self.projection = nn.Conv2d(
            channels, image_channels * stride**2, kernel_size=1)
        self.to_pixels = nn.PixelShuffle(stride)

    def forward(self, mask_features: Tensor) -> Tensor:
        """Turn F_last, (B, C, H/stride, W/stride), into a normalised image,
        (B, 3, H, W)."""
        return self.to_pixels(self.projection(mask_features))
