from .pretrain_figure import draw_pretraining

__all__ = ['draw_pretraining']
