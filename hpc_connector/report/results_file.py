"""Opening results.h5 of a run, with all that can be wrong said in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_connector.errors import BadInput

if TYPE_CHECKING:
    import h5py

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

    path = directory / "results.h5"
    if not path.exists():
        raise BadInput(f"{directory} holds no finished run: expected {path.name} in it")
    with name_damage(path, program), h5py.File(path) as file:
        yield file


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
