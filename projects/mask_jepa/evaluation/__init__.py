from .dense_probe import DenseProbe
from .frozen_encoder import encode_levels, find_encoder, load_model
from .mask_quality import MaskQuality
from .pretrain_metric import PretrainMetric
from .probe_loaders import build_probe_evaluator, build_probe_loaders
from .segmentation_probe import SegmentationProbe

__all__ = [
    'DenseProbe', 'MaskQuality', 'PretrainMetric', 'SegmentationProbe',
    'build_probe_evaluator', 'build_probe_loaders', 'encode_levels',
    'find_encoder', 'load_model'
]
