from .clusters import MAX_CLUSTERS
from .feature_figure import draw_features
from .fixed_images import fixed_batch
from .health_figure import draw_health
from .input_figure import draw_inputs
from .pretrain_figure import draw_pretraining

__all__ = [
    'MAX_CLUSTERS', 'draw_features', 'draw_health', 'draw_inputs',
    'draw_pretraining', 'fixed_batch'
]
