from .mask2former_adapter import Mask2FormerAdapter
from .mask_classifier_adapter import (ADAPTERS, MaskClassifierAdapter,
                                      find_adapter)
from .maskformer_adapter import MaskFormerAdapter

__all__ = [
    'ADAPTERS', 'Mask2FormerAdapter', 'MaskClassifierAdapter',
    'MaskFormerAdapter', 'find_adapter'
]
