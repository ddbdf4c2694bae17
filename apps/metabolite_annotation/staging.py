"""A copy of the peaks on each node, where the shared file system is slow."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_stored_size, read_stored
from hpc_connector.loader.spectra.imzml import Imzml
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.partitioner.shared_memory import get_node
from hpc_connector.storage.address import ENCRYPTED, is_encrypted
from hpc_connector.storage.objects import know_copy

PIECE_BYTES = 1 << 24


@contextlib.contextmanager
def stage(comm: Communicator, imzml: Imzml, scratch: Path | None) -> Iterator[Imzml]:
    """Give a dataset whose .ibd file lies in the folder `scratch` of each node.

    Spectra are read twice: so they come from the shared file system only once. Every
    rank of a node copies a part, and the first that ends removes the copy. What is
    encrypted stays so.

    Parameters
    ----------
    scratch
        A variable in it, such as $TMPDIR, is that of the rank. None to copy nothing.
    """
    if scratch is None:
        yield imzml
        return
    rank, size, _ = get_node(comm)
    ending = ENCRYPTED if is_encrypted(imzml.ibd_path) else ""
    name = comm.bcast(f"{uuid.uuid4().hex}.ibd{ending}")
    path = Path(os.path.expandvars(scratch)) / name
    try:
        with end_together(comm):
            copy_part(imzml.ibd_path, path, rank, size)
        if ending:
            know_copy(imzml.ibd_path, str(path))
        yield replace(imzml, ibd_path=str(path))
    finally:
        path.unlink(missing_ok=True)


def copy_part(source: str, copy: Path, part: int, n_parts: int) -> None:
    """Copy one of several parts of a file to its place in the copy.

    Raises
    ------
    BadInput
        There is no folder for the copy.
    """
    if not copy.parent.is_dir():
        raise BadInput(f"--scratch: {copy.parent}: expected a folder on every node")
    n_bytes = get_stored_size(source)
    at, end = n_bytes * part // n_parts, n_bytes * (part + 1) // n_parts
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT, 0o600)
    with open(descriptor, "wb") as target:
        target.seek(at)
        for first in range(at, end, PIECE_BYTES):
            target.write(read_stored(source, first, min(first + PIECE_BYTES, end)))
