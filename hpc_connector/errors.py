"""What exceptions mean to a user: wrong input, and what is to be tried later."""

import contextlib
from collections.abc import Iterator

BAD_INPUT, STOPPED = 2, 75  # exit codes of BadInput and of Later


class BadInput(ValueError):
    """Input that cannot be used; the message says what, where and what was expected.

    Programs print the message on one line and end with exit code 2.
    """


class Later(Exception):
    """What cannot be done now, and may be later; the message says what.

    Programs print the message on one line and end with exit code 75, and a job is
    queued again.
    """


# What a stream, or another service, raises where it cannot be used, or not now
UNUSABLE = (BadInput, Later, OSError)


@contextlib.contextmanager
def explain_missing(what: str, extra: str, *libraries: str) -> Iterator[None]:
    """Say how to install the library of an extra, where it is imported and not there.

    Parameters
    ----------
    what
        What needs it, with the verb.
    extra
        Of this package.
    libraries
        Names of modules, of which one may be missing.

    Raises
    ------
    BadInput
        One is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (name := (error.name or "").partition(".")[0]) not in libraries:
            raise
        raise BadInput(
            f"{what} {name}: expected pip install 'hpc_connector[{extra}]'"
        ) from None
