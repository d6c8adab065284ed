from .archives import is_archive
from .encoded_image import EncodedImage
from .image_folder import IMAGE_LIST
from .loading import (DecodeRandomResizedCrop, LoadUnlabeledImage,
                      PackUnlabeledInputs, ReadUnlabeledImage,
                      UnreadableImageError)
from .seekable_sampler import SeededIndex, SeekableInfiniteSampler, load_seeded
from .unlabeled_image_dataset import SIZE_KEYS, UnlabeledImageDataset

__all__ = [
    'DecodeRandomResizedCrop', 'EncodedImage', 'IMAGE_LIST',
    'LoadUnlabeledImage', 'PackUnlabeledInputs', 'ReadUnlabeledImage',
    'SIZE_KEYS', 'SeededIndex', 'SeekableInfiniteSampler',
    'UnlabeledImageDataset', 'UnreadableImageError', 'is_archive',
    'load_seeded'
]
