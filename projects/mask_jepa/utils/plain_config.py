import ast
from typing import Any

from mmengine.config import Config


def parse_plain_config(text: str) -> Config:
    """Read a config as MMEngine writes it into a run, and run nothing.

    Not even its ``custom_imports`` are made.

    Raises:
        ValueError: If it does more than give names to plain values.
    """
    values = {}
    try:
        for statement in ast.parse(text).body:
            (target, ), value = statement.targets, statement.value
            values[target.id] = _plain_value(value)
        return Config(values)
    except Exception as error:  # Text of anybody: also too deep, say.
        raise ValueError('The config is more than plain values.') from error


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
