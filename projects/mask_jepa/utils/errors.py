from contextlib import contextmanager
from typing import Iterator, Type


class RunError(ValueError):
    """Ends a run; its sentence says all that its reader needs."""


class SettingError(ValueError):
    """A setting is wrong; its sentence says which, and what to write."""


@contextmanager
def reraised_as(kind: Type[Exception], *errors:
                Type[Exception]) -> Iterator[None]:
    """Give some errors of a block another kind; their sentences stay."""
    try:
        yield
    except errors as error:
        raise kind(str(error)) from error
