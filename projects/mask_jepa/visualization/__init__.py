from .colours import MAX_CLUSTERS
from .feature_figure import draw_features
from .health_figure import draw_health
from .pictures import fixed_batch
from .pretrain_figure import draw_inputs, draw_pretraining
from .sheet import draw_sheet

__all__ = [
    'MAX_CLUSTERS', 'draw_features', 'draw_health', 'draw_inputs',
    'draw_pretraining', 'draw_sheet', 'fixed_batch'
]
