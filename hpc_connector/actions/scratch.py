"""Files of a node's actions: without a name, on the disk of the node or in memory.

What has no name is gone with the process, also where that is killed; nobody opens it
but its owner.
"""

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.publish import get_readers, open_memory


class Scratch:
    """Room for the files of a node's actions.

    Parameters
    ----------
    folder
        Where files are; a variable in it, such as $TMPDIR, is that of this process.
        None for memory, where they are also if results are encrypted.
    most_bytes
        Of all files together; None for as much as there is.
    """

    def __init__(self, folder: Path | None, most_bytes: int | None = None) -> None:
        self._folder: Path | None = None
        if folder is not None and get_readers() is None:
            self._folder = Path(os.path.expandvars(folder))
            if not self._folder.is_dir():
                raise BadInput(
                    f"--scratch: {self._folder}: expected a folder on every node"
                )
        self._most_bytes, self._n_bytes = most_bytes, 0
        self._lock = threading.Lock()
        self._files: list[Any] = []

    def open(self) -> "ScratchFile":
        """Return a new file, open until the end."""
        if self._folder is None:
            file: Any = open_memory()
        else:
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        self._files.append(file)
        return ScratchFile(file, str(self._folder or "memory"), self)

    def close(self) -> None:
        """Give all room back."""
        for file in self._files:
            file.close()

    def take(self, n_bytes: int) -> None:
        """Count bytes that are to be written.

        Raises
        ------
        BadInput
            They are too many.
        """
        with self._lock:
            self._n_bytes += n_bytes
            if self._most_bytes is not None and self._n_bytes > self._most_bytes:
                raise BadInput(
                    f"--scratch-bytes: actions need more than {self._most_bytes:,} "
                    "bytes on this node: expected more room, or fewer inputs"
                )


class ScratchFile:
    """A file to write, and then to read as often as one wants."""

    def __init__(self, file: Any, place: str, scratch: Scratch) -> None:
        self._file, self._place, self._scratch = file, place, scratch

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes at the end; an error of the disk names the folder."""
        self._scratch.take(len(data))
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            error.filename = self._place
            raise

    def read(self) -> bytes:
        """Return all of it."""
        self._file.seek(0)
        data: bytes = self._file.read()
        return data
