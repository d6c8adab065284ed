import ast
import inspect
import os.path as osp
from typing import Any, Iterator, List, Optional

from mmengine.config import Config
from mmengine.runner import Runner

from .config_check import REQUIRED, TOP_KEYS


def find_unused_settings(cfg: Config, path: str,
                         options: Optional[dict]) -> List[str]:
    """Find variables that somebody has set, and that nothing reads.

    What a config keeps on top beside the keys of MMEngine is read only while
    its file is: so never where ``--cfg-options`` sets it, and in the file
    itself only by what follows.

    Args:
        cfg (Config): The config, with the options.
        path (str): Its file; of those that it inherits nothing is asked.
        options (dict, optional): As of ``--cfg-options``, by dotted keys.

    Returns:
        list[str]: A sentence for each.
    """
    known = {*inspect.signature(Runner).parameters, *TOP_KEYS}
    names = [key.split('.')[0] for key in options or {}]
    if osp.isfile(path) and path.endswith('.py'):
        names += _unread_variables(path)
    sentences = []
    for name in dict.fromkeys(names):
        if name in known or name.startswith('_'):
            continue
        meant = [
            key for part in (*REQUIRED, *sorted(known))
            for key in _keys_of(cfg.get(part), part)
            if key.endswith(f'.{name}')
        ]
        hint = f': write {meant[0]}' if meant else ''
        sentences.append(f'{name} is not used by anything{hint}.')
    return sentences


def _unread_variables(path: str) -> List[str]:
    """Name the variables on top of a Python file that it never reads; none of
    a file that inherits nothing, such as the whole config of a run."""
    with open(path, encoding='utf-8') as file:
        try:
            tree = ast.parse(file.read())
        except SyntaxError:  # {{$VARIABLE}}, of which MMEngine makes Python
            return []
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    if all(each.id != '_base_' for each in names):
        return []
    read = {each.id for each in names if not isinstance(each.ctx, ast.Store)}
    return [
        each.id for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets for each in ast.walk(target)
        if isinstance(each, ast.Name) and each.id not in read
    ]


def _keys_of(node: Any, path: str) -> Iterator[str]:
    """List the keys of nested dicts, with dots."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f'{path}.{key}'
            yield from _keys_of(value, f'{path}.{key}')
