import ast
from typing import Any

from mmengine.config import Config

from ..utils import load_config


def load_pretraining_config(name: str) -> Config:
    """Load a config, and refuse one that pretrains nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no config, or its model is no MaskJEPA.
    """
    config = load_config(name)
    model = config.get('model')
    model_type = model.get('type') if isinstance(model, dict) else None
    if str(model_type).split('.')[-1] != 'MaskJEPA':
        raise ValueError(f'{name} is no pretraining config: give one such as '
                         'configs/mask_jepa_r50_coco.py.')
    return config


def pretraining_config(checkpoint: dict) -> Config:
    """Read the config that a checkpoint was trained with, and run nothing.

    Not even its ``custom_imports`` are made.

    Raises:
        ValueError: If the checkpoint holds none, or one that does more than
            give names to plain values.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not text:
        raise ValueError(
            'The checkpoint does not say which network it is of: give a file '
            'that tools/train.py wrote, or name its config by --config.')
    try:
        values = {}
        for statement in ast.parse(text).body:
            (target, ), value = statement.targets, statement.value
            values[target.id] = _plain_value(value)
    except (AttributeError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(
            'The config in the checkpoint is more than plain values, and '
            'would have to be run: name the config by --config.') from error
    return Config(values)


def _plain_value(node: ast.expr) -> Any:
    """Evaluate literals and ``dict(key=value)``, as MMEngine writes them."""
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id != 'dict':
            raise ValueError('a call of something else')
        values = {}
        for positional in node.args:
            values.update(_plain_value(positional))
        for keyword in node.keywords:
            values.update({keyword.arg: _plain_value(keyword.value)}
                          if keyword.arg else _plain_value(keyword.value))
        return values
    if isinstance(node, ast.Dict):
        return {
            _plain_value(key): _plain_value(value)
            for key, value in zip(node.keys, node.values)
        }
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_plain_value(value) for value in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)
