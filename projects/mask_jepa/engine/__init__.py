from .pass_based_train_loop import PassBasedTrainLoop
from .resolve_config import resolve_config

__all__ = ['PassBasedTrainLoop', 'resolve_config']
