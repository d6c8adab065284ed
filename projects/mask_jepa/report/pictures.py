import base64
import io
import os.path as osp
import re
from collections import defaultdict
from glob import escape, glob
from typing import Dict

from PIL import Image

PICTURE_NAME = re.compile(r'(.+)_(\d+)\.png')
LARGE_PICTURE = 300_000  # bytes; about ten seconds of a slow connection
WEBP_QUALITY = 85


def find_pictures(folder: str) -> Dict[str, Dict[int, str]]:
    """Find the pictures that mmengine's LocalVisBackend has saved.

    Args:
        folder (str): The ``vis_image`` folder; it need not exist.

    Returns:
        dict[str, dict[int, str]]: Paths by name and iteration.
    """
    pictures = defaultdict(dict)
    for path in glob(osp.join(escape(folder), '*.png')):
        match = PICTURE_NAME.fullmatch(osp.basename(path))
        if match:
            pictures[match[1]][int(match[2])] = path
    return dict(pictures)


def embed_picture(path: str) -> str:
    """Turn a picture into a URL that holds all of it.

    A large one is encoded anew as WebP, with as many pixels as before.

    Args:
        path (str): PNG file.

    Returns:
        str: A ``data:`` URL; empty if the file is no whole picture.
    """
    with open(path, 'rb') as file:
        content, kind = file.read(), 'png'
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            if len(content) > LARGE_PICTURE:
                encoded = io.BytesIO()
                picture.convert('RGB').save(
                    encoded, 'WEBP', quality=WEBP_QUALITY)
                content, kind = encoded.getvalue(), 'webp'
    except OSError:
        return ''
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
