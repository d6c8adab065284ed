from .loading import LoadUnlabeledImage, UnreadableImageError
from .seekable_sampler import SeekableInfiniteSampler
from .unlabeled_image_dataset import UnlabeledImageDataset

__all__ = [
    'LoadUnlabeledImage', 'SeekableInfiniteSampler', 'UnlabeledImageDataset',
    'UnreadableImageError'
]
