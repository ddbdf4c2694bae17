"""Opening results.h5 of a run, with all that can be wrong said in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hpc_connector.confidential.published import is_published, open_published
from hpc_connector.errors import BadInput

if TYPE_CHECKING:
    import h5py

RESULTS = "results.h5"
DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)  # what h5py makes of a damaged file


@contextlib.contextmanager
def open_results(directory: Path, program: str) -> Iterator[h5py.File]:
    """Give ``results.h5`` of a finished run to read.

    Raises
    ------
    BadInput
        There is none, or it is damaged: what goes wrong while it is read counts.
    """
    import h5py

    path = directory / RESULTS
    if not is_published(path):
        raise BadInput(f"{directory} holds no finished run: expected {path.name} in it")
    with (
        find_readable(path) as readable,
        name_damage(path, program),
        h5py.File(readable) as file,
    ):
        yield file


@contextlib.contextmanager
def find_readable(path: Path) -> Iterator[Path | BinaryIO]:
    """Give what h5py opens of a file that was published: its path, or it in memory.

    Raises
    ------
    BadInput
        It is encrypted, and not for the key in hand; or it is damaged.
    """
    if path.exists():
        yield path
    else:
        with open_published(path) as stream:
            yield stream


@contextlib.contextmanager
def name_damage(path: Path, program: str) -> Iterator[None]:
    """Say of what is raised that the file is damaged.

    Raises
    ------
    BadInput
        Whatever is wrong.
    """
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{path} {error}") from None
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"{path} is damaged, or not results of {program}: {reason}"
        raise BadInput(message) from None
