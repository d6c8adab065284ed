"""Read mutated image files: python tests/test_faults/fuzz_images.py 5000

Each is read as in training and as in tests. It may be refused, by the one
error that is meant for it, or give a crop. A process that crashes, or computes
for more than five seconds on one file, ends this one, which names the file's
number; the same seed makes the same files.
"""
import argparse
import io
import os
import resource
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from mmdet.utils import register_all_modules
from mmengine.dataset import Compose
from PIL import Image

from mask_jepa.datasets import UnreadableImageError

SECONDS = 5  # of computing, for one file
GIGABYTE = 2**30
CROP = 64
TRAIN = [
    dict(type='ReadUnlabeledImage'),
    dict(type='DecodeRandomResizedCrop', scale=CROP)
]
TEST = [
    dict(type='LoadUnlabeledImage'),
    dict(type='mmpretrain.ResizeEdge', scale=CROP, edge='short'),
    dict(type='mmpretrain.CenterCrop', crop_size=CROP)
]
MODES = dict(
    JPEG=('RGB', 'L', 'CMYK'),
    PNG=('RGB', 'L', 'P', 'LA', 'RGBA', 'I;16', '1'),
    BMP=('RGB', 'P'),
    WEBP=('RGB', 'RGBA'),
    TIFF=('RGB', 'CMYK', 'I;16', 'F', '1'),
    GIF=('P', ),
    PPM=('RGB', ),
    JPEG2000=('RGB', ),
    EPS=('RGB', ))
OPTIONS = dict(
    JPEG=[dict(progressive=True),
          dict(quality=30),
          dict(subsampling=0)],
    TIFF=[
        dict(compression=name)
        for name in ('tiff_lzw', 'packbits', 'tiff_adobe_deflate', 'raw')
    ])


def encode_seeds(generator):
    """Small images in all formats, kinds and compressions."""
    pixels = generator.integers(0, 256, (24, 40, 3), np.uint8)
    image = Image.fromarray(pixels).resize((120, 96))
    seeds = []
    for format_, modes in MODES.items():
        for mode in modes:
            for options in OPTIONS.get(format_, [{}]):
                source = image.convert('L') if mode[0] in 'IF' else image
                file = io.BytesIO()
                try:
                    source.convert(mode).save(file, format_, **options)
                except (OSError, ValueError):  # not for this mode
                    continue
                seeds.append(file.getvalue())
    return seeds


def mutate(content, others, generator):
    """Spoil a file, as a disk, a download or an enemy would."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 5)):
        # Headers, which decide most, lie at the beginning.
        length = max(len(content), 1)
        reach = length if generator.random() < 0.5 else min(length, 64)
        place = int(generator.integers(0, reach))
        kind = generator.integers(0, 7)
        if kind == 0:
            content[place:place + 1] = generator.bytes(1)
        elif kind == 1:
            del content[place + int(generator.integers(0, length)):]
        elif kind == 2:
            content[place:place] = generator.bytes(
                int(generator.integers(1, 32)))
        elif kind == 3:
            del content[place:place + int(generator.integers(1, 32))]
        elif kind == 4:  # sizes, counts and offsets
            size = int(generator.choice([1, 2, 4]))
            value = int(
                generator.choice(
                    [0, 1, 2**(8 * size - 1), 2**(8 * size) - 1, 13000]))
            value = min(value, 2**(8 * size) - 1)
            order = 'big' if generator.random() < 0.5 else 'little'
            content[place:place + size] = value.to_bytes(size, order)
        elif kind == 5:
            piece = content[place:place + int(generator.integers(1, 256))]
            content[place:place] = piece * int(generator.integers(1, 20))
        else:
            other = others[int(generator.integers(0, len(others)))]
            content[place:] = other[place:]
    return bytes(content)


def fuzz(count, seed):
    """Read ``count`` mutated files.

    Returns:
        Counter: How many were refused, and how many gave a crop.
    """
    generator = np.random.default_rng(seed)
    seeds = encode_seeds(generator)
    train, test = Compose(TRAIN), Compose(TEST)
    outcomes = Counter()
    # Not Python's own handler, which would wait for the decoder to return.
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'image.jpg')
        for number in range(count):
            source = seeds[int(generator.integers(0, len(seeds)))]
            content = mutate(source, seeds, generator)
            with open(path, 'wb') as file:
                file.write(content)
            print(f'\rfile {number}', end='', flush=True)
            for pipeline in (train, test):
                signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
                try:
                    image = pipeline(dict(img_path=path))['img']
                except UnreadableImageError as error:
                    assert str(error).startswith(path)
                    assert str(error).isprintable()
                    outcomes['refused'] += 1
                else:
                    assert image.shape == (CROP, CROP, 3)
                    # Damage may leave 16 bits, or floating point.
                    assert image.dtype in (np.uint8, np.float32)
                    assert np.isfinite(image).all()
                    outcomes['read'] += 1
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('count', nargs='?', type=int, default=5000)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    register_all_modules()
    before = peak_memory()
    outcomes = fuzz(args.count, args.seed)
    taken = peak_memory() - before
    print(f'\n{args.count} files, each read twice: {outcomes["read"]} crops, '
          f'{outcomes["refused"]} refused; {taken / 1e6:.0f} MB at most, '
          f'beside {before / 1e6:.0f} MB of the libraries.')
    assert taken < GIGABYTE, 'more than a gigabyte of memory'


def peak_memory():
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == '__main__':
    main()
