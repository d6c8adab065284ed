from .adapters import (ADAPTERS, Mask2FormerAdapter, MaskClassifierAdapter,
                       MaskFormerAdapter, find_adapter)
from .batched_mask2former_head import BatchedLosses, BatchedMask2FormerHead
from .block_masking import BlockMasking
from .deformable_attention import DeformableAttention
from .deformable_pixel_decoder import DeformablePixelDecoder
from .feature_levels import join_levels, name_levels
from .input_noise import InputNoise
from .mask_jepa import MaskJEPA
from .mask_tokens import MaskTokens
from .photometric_change import PhotometricChange
from .place_centering import PlaceCentering
from .prototypes import Prototypes
from .pseudo_instances import PseudoInstances
from .query_to_map import QueryToMap
from .random_queries import RandomQueries
from .reconstruction_head import ReconstructionHead
from .step_random import StepRandom
from .target_encoder import TargetEncoder
from .target_prediction import TargetPrediction

__all__ = [
    'ADAPTERS', 'BatchedLosses', 'BatchedMask2FormerHead', 'BlockMasking',
    'DeformableAttention', 'DeformablePixelDecoder', 'InputNoise',
    'Mask2FormerAdapter', 'MaskClassifierAdapter', 'MaskFormerAdapter',
    'MaskJEPA', 'MaskTokens', 'PhotometricChange', 'PlaceCentering',
    'Prototypes', 'PseudoInstances', 'QueryToMap', 'RandomQueries',
    'ReconstructionHead', 'StepRandom', 'TargetEncoder', 'TargetPrediction',
    'find_adapter', 'join_levels', 'name_levels'
]
