from .colours import MAX_CLUSTERS
from .figures import draw_features, draw_health, draw_inputs, draw_pretraining
from .pictures import fixed_batch
from .sheet import draw_sheet

__all__ = [
    'MAX_CLUSTERS', 'draw_features', 'draw_health', 'draw_inputs',
    'draw_pretraining', 'draw_sheet', 'fixed_batch'
]
