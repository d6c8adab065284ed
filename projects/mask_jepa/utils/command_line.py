"""What the commands in tools/ share."""
import argparse
import re
import sys
from contextlib import contextmanager
from typing import Any, Iterator, Optional, Sequence, Type

from mmengine.config import DictAction

from .safe_loading import refuse_objects

TRACEBACK = '--traceback'


class WholeValues(DictAction):
    """MMEngine's action, but that it refuses what it would change: it takes
    spaces out of values, also of paths."""

    def __call__(self,
                 parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace,
                 values: Sequence[str],
                 option_string: Optional[str] = None) -> None:
        """Read each of the settings, which end the process if changed."""
        for text in values:
            key, equals, value = text.partition('=')
            if not equals:
                parser.error(
                    f'{text!r} is not of the form key=value: put what '
                    'has spaces in quotes, and give images by '
                    '--data.')
            try:
                super().__call__(parser, namespace, [text], option_string)
            except AssertionError as error:
                parser.error(f'{key}: {error}. Give images by --data, which '
                             'takes paths as they are.')
            read = getattr(namespace, self.dest)[key]
            if not all(each in value for each in _strings(read)):
                parser.error(f'{key}={value!r} would be read as {read!r}: '
                             'leave the spaces out, or write it into a '
                             'config. Give images by --data, which takes '
                             'paths as they are.')


def _strings(value: Any) -> Iterator[str]:
    """Find all strings in nested lists and tuples."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _strings(each)


# Of the option --cfg-options.
CFG_OPTIONS = dict(
    nargs='+',
    action=WholeValues,
    help='override some settings, in the form key=value')
# Of the option --data, of which load_config takes the value.
DATA = dict(
    nargs='+',
    metavar='PATH',
    help='images: folders, searched recursively, zip or tar, or .txt lists '
    'of paths')


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
        sys.stdout.flush()  # Else what was printed before may come after.
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
