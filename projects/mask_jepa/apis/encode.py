import logging
import os
import os.path as osp
from importlib import import_module
from typing import Iterator, List, NamedTuple, Optional

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..datasets import (LoadUnlabeledImage, UnlabeledImageDataset,
                        UnreadableImageError, is_archive)
from ..engine import find_setting
from ..evaluation import find_encoder, load_model
from ..utils import load_config, refusing_objects
from ..weights import load_checkpoint, pretraining_config
from .pretrain import Paths

STRIDE = 32  # of the coarsest memory, in pixels
READING = ('color_type', 'value_range')
# Whose modules a checkpoint may ask for.
LIBRARIES = ('mask_jepa', 'mmdet', 'mmpretrain', 'mmseg')


class ImageEncoding(NamedTuple):
    """What a mask classifier makes of an image of H x W pixels.

    Attributes:
        path (str): Of the image.
        mask_features (np.ndarray): F_last, float32 (C, h, w), h and w a
            quarter of the size at which the image was encoded.
        memory (list[np.ndarray]): F_1, F_2 and F_3, coarse to fine, at
            strides 32, 16 and 8, each float32 (C, h_i, w_i).
        masks (np.ndarray): What the queries take for things and regions,
            bool (M, H, W); those without a pixel are left out.
        labels (np.ndarray): Class of each mask, int64 (M, ). The classes of
            a pretraining are its prototypes.
        scores (np.ndarray): How sure it is, in [0, 1], float32 (M, ): the
            probability of the class, times the mean of the mask within it.
    """

    path: str
    mask_features: np.ndarray
    memory: List[np.ndarray]
    masks: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def encode(checkpoint: str,
           images: Paths,
           config: Optional[str] = None,
           image_size: Optional[int] = None,
           device: Optional[str] = None) -> Iterator[ImageEncoding]:
    """Compute features and masks of images, one after another.

    Args:
        checkpoint (str): Of a pretraining; or of a Mask2Former of mmdet or
            mmseg, with its ``config``.
        images (str | Sequence[str]): Image, folder of images, searched
            recursively, zip or tar, list of paths (.txt), or several of these.
        config (str, optional): Path or name of the config. Defaults to None:
            the one in the checkpoint.
        image_size (int, optional): Short side, in pixels, to which images are
            scaled. Both sides become multiples of 32. Defaults to None: as
            they are, but 800 at most.
        device (str, optional): 'cpu' or 'cuda'. Defaults to None: a GPU, if
            there is one.

    Yields:
        ImageEncoding: One for each image that can be read, in the order of
        ``images``, in folders by name; the log names the others. They are read
        as the pretraining read its own: with its channels, and what it scaled
        to [0, 255] of deep ones.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a folder holds no image, or the checkpoint is damaged,
            does not fit the config, says not of which network it is, or is
            an exported file, which has no classes.
    """
    checkpoint = os.fspath(checkpoint)
    paths = find_images(images)
    with refusing_objects():
        content = load_checkpoint(checkpoint)
        if config is None:
            cfg = pretraining_config(content)
            import_modules(cfg)
        else:
            cfg = load_config(config)
        model = load_model(cfg, checkpoint, whole_head=True)
    reading = reading_of(content, cfg)
    model.to(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    return encode_all(model, paths, LoadUnlabeledImage(**reading), image_size)


def find_images(images: Paths) -> List[str]:
    """List the images of files, folders and lists."""
    sources = [images] if isinstance(images, (str, os.PathLike)) else images
    if not sources:
        raise ValueError('images names no image: it is empty.')
    paths = []
    for source in map(os.fspath, sources):
        if osp.isfile(source) and not (source.endswith('.txt')
                                       or is_archive(source)):
            paths.append(source)
            continue
        dataset = UnlabeledImageDataset(source, pipeline=[], lazy_init=True)
        try:
            paths += [each['img_path'] for each in dataset.load_data_list()]
        except (FileNotFoundError, ValueError) as error:
            # Without its advice for configs.
            raise type(error)(str(error).partition(': set ')[0]) from None
    return paths


def reading_of(checkpoint: dict, cfg: Config) -> dict:
    """Find how a pretraining read its images: the arguments of
    :class:`LoadUnlabeledImage`, with the range of values that it measured.

    Empty for a model of mmdet or mmseg.
    """
    kind = cfg.model.type  # in MMEngine's newer configs a class
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    if not dataset or 'MaskJEPA' not in str(kind):
        return {}
    first, *_ = find_setting(dataset, 'pipeline') or [{}]
    settings = {
        key: first.get(key) or find_setting(dataset, key)
        for key in READING
    }
    measured = (checkpoint.get('meta') or {}).get('value_range')
    settings['value_range'] = measured or settings['value_range']
    return {key: value for key, value in settings.items() if value}


def import_modules(cfg: Config) -> None:
    """Make the ``custom_imports`` of a config that are of known libraries."""
    for name in (cfg.get('custom_imports') or {}).get('imports', []):
        name = name.removeprefix('projects.')
        if name.split('.')[0] in LIBRARIES:
            import_module(name)


def encode_all(model: nn.Module, paths: List[str], load: LoadUnlabeledImage,
               image_size: Optional[int]) -> Iterator[ImageEncoding]:
    """Encode the images that can be read."""
    channels = getattr(model, 'num_channels', 3)
    for path in paths:
        try:
            image = np.atleast_3d(load(dict(img_path=path))['img'])
            if image.shape[2] != channels:
                raise UnreadableImageError(
                    f'{path}: it has {image.shape[2]} channel(s), but the '
                    f'network takes {channels}')
        except UnreadableImageError as error:
            print_log(
                f'Skipped an unreadable image: {error}',
                logger='current',
                level=logging.WARNING)
            continue
        yield encode_image(model, path, image, image_size)


@torch.no_grad()
def encode_image(model: nn.Module, path: str, image: np.ndarray,
                 image_size: Optional[int]) -> ImageEncoding:
    """Encode an image, (H, W, C) in [0, 255]."""
    height, width = image.shape[:2]
    short = min(height, width)
    scale = (image_size or min(short, 800)) / short
    sides = [
        max(round(side * scale / STRIDE), 1) * STRIDE
        for side in (width, height)
    ]
    resized = np.atleast_3d(mmcv.imresize(image, sides))
    pixels = torch.from_numpy(resized).permute(2, 0, 1)
    inputs = model.data_preprocessor(
        dict(inputs=[pixels], data_samples=[BaseDataElement()]))['inputs']
    backbone, neck, adapter = find_encoder(model)
    mask_features, memory = adapter.encode(neck(backbone(inputs)))
    _, class_scores, mask_logits = adapter.decode(
        memory, mask_features, adapter.learned_queries[None])
    masks, labels, scores = find_masks(class_scores[-1][0], mask_logits[-1][0],
                                       (width, height))
    return ImageEncoding(path, mask_features[0].cpu().numpy(),
                         [level[0].cpu().numpy() for level in memory], masks,
                         labels, scores)


def find_masks(class_scores: Tensor, logits: Tensor, size: tuple) -> tuple:
    """Make masks of an image's size, (W, H), from the class scores,
    (N, K + 1), and mask logits, (N, h, w), of queries."""
    probabilities, labels = class_scores.softmax(-1)[:, :-1].max(-1)
    inside = logits > 0
    areas = inside.sum((1, 2))
    sureness = (logits.sigmoid() * inside).sum((1, 2)) / areas.clamp(min=1)
    scores = probabilities * sureness
    kept = areas.nonzero().flatten()
    kept = kept[scores[kept].argsort(descending=True)]
    masks = [
        mmcv.imresize(each, size) > 0 for each in logits[kept].cpu().numpy()
    ]
    return (np.array(masks, bool).reshape(-1, *size[::-1]),
            labels[kept].cpu().numpy(), scores[kept].cpu().numpy())
