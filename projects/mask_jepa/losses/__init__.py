from .jepa_loss import JEPALoss, prediction_error
from .mask_level_loss import MaskLevelLoss
from .matched_mask_loss import MaskLabels, MatchedMaskLoss
from .reconstruction_loss import ReconstructionLoss
from .sampled_mask_loss import SampledMaskLoss
from .variance_covariance_loss import VarianceCovarianceLoss

__all__ = [
    'JEPALoss', 'MaskLabels', 'MaskLevelLoss', 'MatchedMaskLoss',
    'ReconstructionLoss', 'SampledMaskLoss', 'VarianceCovarianceLoss',
    'prediction_error'
]
