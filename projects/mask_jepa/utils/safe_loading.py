import os
import os.path as osp
import socket
from contextlib import contextmanager
from functools import wraps
from pickle import UnpicklingError
from typing import Any, Callable, Iterator, List

import torch
from mmengine.runner import CheckpointLoader

from .checkpoint_files import require_whole

FORCED = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
FORBIDDEN = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
SECONDS = 60  # in which a host must answer


class Nothing:
    """Stands for an object that was not built; swallows all it is given."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __call__(self, *args, **kwargs) -> 'Nothing':
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Swallow a value."""

    def extend(self, values: Any) -> None:
        """Swallow values."""


def load_without_objects(path: str, map_location: Any = 'cpu') -> Any:
    """Load what ``torch.save`` wrote, and build no object.

    If the file holds objects, such as those that the stock tools of mmengine
    0.10 write, the tensors and plain containers beside them are loaded.

    Args:
        path (str): The file.
        map_location: As of ``torch.load``. Defaults to the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``torch.save`` did not write it, or not as it is now, or
            it would run something of the operating system.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no checkpoint at {path}.')
    require_whole(path)
    try:
        nothings = [(Nothing, name) for name in objects_in(path)]
        with torch.serialization.safe_globals(nothings):
            return torch.load(
                path, map_location=map_location, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # A damaged file can end in any.
        raise ValueError(
            f'{path} is no checkpoint of tensors and plain types, or not all '
            'of one: give a whole file, such as tools/train.py and '
            'tools/export_pretrained.py of Mask-JEPA write, or as libraries '
            'publish.') from error


def objects_in(path: str) -> List[str]:
    """Name the types and functions, beside those of tensors, that a file of
    ``torch.save`` would use; none where they cannot be told."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # Older than torch 1.6, or damaged: in any way.
        return []


def require_plain(path: str) -> None:
    """Refuse, as what a run could go on with, a checkpoint with objects.

    Raises:
        ValueError: If the file holds any.
    """
    objects = objects_in(path)
    if objects:
        raise ValueError(
            f'{path} holds objects ({min(objects)}), as no checkpoint of '
            'Mask-JEPA does: resume another one, or take its weights by '
            '--init.')


def or_exit(load: Callable) -> Callable:
    """Let a loader of MMEngine end the process where a file cannot be had.

    What it loads loses the text of a config that old checkpoints of OpenMMLab
    hold, since MMEngine runs it when it resumes.
    """

    @wraps(load)  # MMEngine logs the end of its name.
    def load_or_exit(filename: str, map_location: Any = None) -> Any:
        patience = socket.getdefaulttimeout()
        socket.setdefaulttimeout(SECONDS)
        try:
            checkpoint = load(filename, map_location)
        except Exception as error:  # The network, a host, a file: it is any.
            line, *_ = str(error).strip().split('\n')
            reason = f'{type(error).__name__}: {line}'
            if isinstance(error, UnpicklingError):
                reason = 'it holds more than tensors and plain types'
            raise SystemExit(
                f'{filename} could not be loaded ({reason}): mend that, or '
                'give the path of another file.') from error
        finally:
            socket.setdefaulttimeout(patience)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        if isinstance(meta, dict):
            meta.pop('config', None)
        return checkpoint

    return load_or_exit


@or_exit
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a file on disk for MMEngine."""
    try:
        return load_without_objects(filename, map_location)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error


LOADERS = {
    prefix: or_exit(load)
    for prefix, load in CheckpointLoader._schemes.items()
}


def refuse_objects() -> None:
    """Let this process load tensors and plain types only, from now on.

    ``torch.load`` is told by its variable, which also binds torch's hub, and
    so what MMEngine downloads; for files on disk MMEngine gets
    :func:`load_without_objects`.
    """
    os.environ.pop(FORBIDDEN, None)
    os.environ[FORCED] = '1'
    for prefix, load in {**LOADERS, '': load_from_local}.items():
        CheckpointLoader.register_scheme(prefix, load, force=True)


@contextmanager
def refusing_objects() -> Iterator[None]:
    """:func:`refuse_objects` for a block."""
    variables = {name: os.environ.get(name) for name in (FORCED, FORBIDDEN)}
    loaders = dict(CheckpointLoader._schemes)
    refuse_objects()
    try:
        yield
    finally:
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        for prefix, load in loaders.items():
            CheckpointLoader.register_scheme(prefix, load, force=True)
