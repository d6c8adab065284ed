from .encode import EncodedImage, encode
from .export import export, write_export
from .pretrain import pretrain

__all__ = ['EncodedImage', 'encode', 'export', 'pretrain', 'write_export']
