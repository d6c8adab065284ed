"""What the commands in tools/ share."""
import argparse
import re
import sys
from contextlib import contextmanager
from typing import Iterator, Type

from mmengine.config import DictAction

from .safe_loading import refuse_objects

TRACEBACK = '--traceback'
# Of the option --cfg-options.
CFG_OPTIONS = dict(
    nargs='+',
    action=DictAction,
    help='override some settings, in the form key=value')


def make_parser(docstring: str) -> argparse.ArgumentParser:
    """Begin a command, which will load tensors only, and whose help is the
    docstring of the script as it is written."""
    refuse_objects()
    parser = argparse.ArgumentParser(
        description=docstring,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        TRACEBACK,
        action='store_true',
        help='of an error, show the places in the code as well')
    return parser


@contextmanager
def exit_on(*errors: Type[Exception], status: int = 1) -> Iterator[None]:
    """End the process with the sentence of an error, without a traceback.

    Args:
        *errors (type): The errors.
        status (int): With which the process ends; 2, as argparse, where a
            setting is wrong. Defaults to 1.
    """
    try:
        yield
    except errors as error:
        if TRACEBACK in sys.argv:
            raise
        # MMEngine says first what was being built.
        sentence = re.sub(r'^class `\w+` in \S+: ', '', str(error))
        sentence = sentence or (
            f'{type(error.__cause__ or error).__name__} in a setting: '
            f'{TRACEBACK} shows where.')
        if status == 1:
            raise SystemExit(sentence) from error
        print(sentence, file=sys.stderr)
        raise SystemExit(status) from error


def printable(text: str) -> str:
    """Escape what a terminal or a log would not show as it is: control
    characters, line breaks, and the bytes of names that are no UTF-8."""
    return ''.join(each if each.isprintable() else repr(each)[1:-1]
                   for each in text)
