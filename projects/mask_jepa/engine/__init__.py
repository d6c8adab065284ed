from .choose_checkpoint import choose_checkpoint
from .config_check import check_config
from .grouped_constructor import GroupedOptimWrapperConstructor
from .loss_log_processor import LossLogProcessor
from .model_check import require_channels, try_model
from .older_checkpoint import adapt_older_checkpoint
from .pass_based_train_loop import PassBasedTrainLoop
from .resolve_config import (cropped_as_training, find_setting, is_unlabeled,
                             resolve_config)
from .unused_settings import find_unused_settings
from .use_gpu import use_gpu

__all__ = [
    'GroupedOptimWrapperConstructor', 'LossLogProcessor', 'PassBasedTrainLoop',
    'adapt_older_checkpoint', 'check_config', 'choose_checkpoint',
    'cropped_as_training', 'find_setting', 'find_unused_settings',
    'is_unlabeled', 'require_channels', 'resolve_config', 'try_model',
    'use_gpu'
]
