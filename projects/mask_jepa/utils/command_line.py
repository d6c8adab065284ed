"""What the commands in tools/ share."""
import argparse
from contextlib import contextmanager
from typing import Iterator, Type

from mmengine.config import DictAction

# Of the option --cfg-options.
CFG_OPTIONS = dict(
    nargs='+',
    action=DictAction,
    help='override some settings, in the form key=value')


def make_parser(docstring: str) -> argparse.ArgumentParser:
    """Begin a parser that shows a script's docstring as it is written."""
    return argparse.ArgumentParser(
        description=docstring,
        formatter_class=argparse.RawDescriptionHelpFormatter)


@contextmanager
def exit_on(*errors: Type[Exception]) -> Iterator[None]:
    """End the process with the sentence of an error, without a traceback."""
    try:
        yield
    except errors as error:
        raise SystemExit(str(error)) from error
