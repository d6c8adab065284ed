from .encode import ImageEncoding, encode
from .export import export, write_export
from .pretrain import pretrain

__all__ = ['ImageEncoding', 'encode', 'export', 'pretrain', 'write_export']
