import io

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError


class UnreadableImageError(Exception):
    """An image file that is missing, or that cannot be decoded whole."""


@TRANSFORMS.register_module()
class LoadUnlabeledImage(LoadImageFromFile):
    """Load any photograph as 8-bit BGR, or say that it cannot be read.

    OpenCV, the default of :class:`mmcv.transforms.LoadImageFromFile`, returns
    a truncated JPEG half grey. Pillow refuses it, and gets CMYK, palettes,
    transparency and EXIF orientation right, so Pillow decodes; only 16-bit
    greyscale, which Pillow clips to white, goes to OpenCV.

    Args:
        **kwargs: As for :class:`mmcv.transforms.LoadImageFromFile`, where
            ``backend_args`` matters for remote storage.
    """

    def transform(self, results: dict) -> dict:
        """Load the image at ``img_path``.

        Returns:
            dict: With ``img`` (H, W, 3), uint8 or float32, ``img_shape`` and
            ``ori_shape``.

        Raises:
            UnreadableImageError: If the file cannot be decoded whole.
        """
        path = results['img_path']
        try:
            content = fileio.get(path, backend_args=self.backend_args)
            image = decode_image(content)
        except UnidentifiedImageError as error:
            raise UnreadableImageError(
                f'{path}: not an image of a known format') from error
        except Exception as error:
            # Image libraries raise nearly every type on broken bytes.
            reason = str(error) or type(error).__name__
            raise UnreadableImageError(f'{path}: {reason}') from error
        if self.to_float32:
            image = image.astype(np.float32)
        results.update(
            img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


def decode_image(content: bytes) -> np.ndarray:
    """Decode a whole image file to 8-bit BGR, (H, W, 3).

    Raises:
        Exception: Of many types, if the bytes are no whole image.
    """
    if not content:
        raise ValueError('the file is empty')
    image = Image.open(io.BytesIO(content))  # reads the header only
    if image.mode.startswith('I'):  # 16 bits
        image.load()  # OpenCV would not notice that a file is truncated.
        return mmcv.imfrombytes(content, flag='color', backend='cv2')
    return mmcv.imfrombytes(content, flag='color', backend='pillow')
