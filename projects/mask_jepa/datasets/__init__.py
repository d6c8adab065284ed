from .encoded_image import EncodedImage
from .loading import (DecodeRandomResizedCrop, LoadUnlabeledImage,
                      PackUnlabeledInputs, ReadUnlabeledImage,
                      UnreadableImageError)
from .seekable_sampler import SeekableInfiniteSampler
from .unlabeled_image_dataset import IMAGE_LIST, UnlabeledImageDataset

__all__ = [
    'DecodeRandomResizedCrop', 'EncodedImage', 'IMAGE_LIST',
    'LoadUnlabeledImage', 'PackUnlabeledInputs', 'ReadUnlabeledImage',
    'SeekableInfiniteSampler', 'UnlabeledImageDataset', 'UnreadableImageError'
]
