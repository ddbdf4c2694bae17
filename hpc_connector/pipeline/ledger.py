"""The ledger of a run: which tasks are done, and what they found."""

import logging
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.confidential.published import open_published
from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from hpc_connector.storage.address import ENCRYPTED

logger = logging.getLogger(__name__)

DAMAGED = (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error)
Arrays = dict[str, np.ndarray]


def name_ledger(out: Path, attempt: int, rank: int, name: str) -> Path:
    """Return the file that finished tasks are recorded in, by a name of theirs.

    Examples
    --------
    >>> name_ledger(Path("out"), 2, 17, "003").as_posix()
    'out/ledger/0002-00017-003.npz'
    """
    return out / "ledger" / f"{attempt:04d}-{rank:05d}-{name}.npz"


def save_ledger(path: Path, finished: Sequence[int], arrays: Arrays) -> None:
    """Record finished tasks and what they found, published by rename."""
    everything: Any = {"finished": np.array(finished, np.int64)} | arrays
    with publish(path, "ledger") as stream:
        np.savez(stream, **everything)


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of a .npz file; its checksums are checked.

    Raises
    ------
    DAMAGED
        One of these exceptions, for a file that is not whole.
    """
    with open_published(path) as stream, np.load(stream) as record:
        return dict(record)


def list_files(directory: Path) -> list[Path]:
    """Return the files of a ledger, by the names that they have if not encrypted."""
    found = [*directory.glob("*.npz"), *directory.glob(f"*.npz{ENCRYPTED}")]
    return sorted({path.with_name(path.name.removesuffix(ENCRYPTED)) for path in found})


def read_ledger(directory: Path) -> tuple[NDArray[np.int64], list[Arrays]]:
    """Return the tasks that earlier attempts finished, and what they found.

    A damaged file is left out with a warning: running its tasks again costs time and
    changes no result.

    Raises
    ------
    BadInput
        It is encrypted, and no file of it is for the key in hand.
    """
    finished, found = [np.zeros(0, np.int64)], []
    unread: BadInput | None = None
    for path in list_files(directory):
        try:
            arrays = read_arrays(path)
            finished.append(arrays.pop("finished"))
        except DAMAGED as error:
            unread = error if isinstance(error, BadInput) else unread
            logger.warning("%s is damaged, its tasks run again (%s)", path, error)
            continue
        found.append(arrays)
    if unread and not found:
        raise unread
    return np.unique(np.concatenate(finished)), found
