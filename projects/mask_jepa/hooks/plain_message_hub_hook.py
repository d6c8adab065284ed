import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import Runner

# The type of these lists and dicts is lost on saving; nothing reads it.
PLAIN_TYPES = (str, int, float, bool, type(None), torch.Tensor)
HISTORY_BUFFER = 'mmengine.HistoryBuffer'


@HOOKS.register_module()
class PlainMessageHubHook(Hook):
    """Keep training checkpoints free of pickled objects.

    The message hub of mmengine 0.10 holds ``HistoryBuffer`` objects, which
    ``torch.load(weights_only=True)``, the default since torch 2.6, refuses.
    This hook turns them into tensors on saving and back on loading, so that
    the checkpoint loads anywhere without unpickling anything.
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Make message hub and meta plain, in place."""
        for key in ('message_hub', 'meta'):
            checkpoint[key] = to_plain(checkpoint[key], key)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Rebuild the history buffers, in place."""
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        for name, value in scalars.items():
            if isinstance(value, dict) and value.get('type') == HISTORY_BUFFER:
                # Resuming loads to the GPU, if there is one.
                scalars[name] = HistoryBuffer(
                    value['log_history'].cpu().numpy(),
                    value['count_history'].cpu().numpy(), value['max_length'])


def to_plain(value: Any, name: str) -> Any:
    """Turn a nested value into tensors and plain Python types.

    It may hold mappings, sequences, numpy values and history buffers; all else
    becomes None, with a warning that calls it by ``name``.
    """
    if isinstance(value, HistoryBuffer):
        log_history, count_history = value.data
        return dict(
            type=HISTORY_BUFFER,
            log_history=torch.from_numpy(np.asarray(log_history)).double(),
            count_history=torch.from_numpy(np.asarray(count_history)).long(),
            max_length=value.max_length)
    if isinstance(value, Mapping):
        return {
            to_plain(key, name): to_plain(item, f'{name}.{key}')
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(to_plain(item, name) for item in value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if type(value) in PLAIN_TYPES:
        return value
    print_log(
        f'{name} is a {type(value).__name__}, which a checkpoint of plain '
        'types cannot hold: None is saved in its place.',
        logger='current',
        level=logging.WARNING)
    return None
