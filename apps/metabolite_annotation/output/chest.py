"""Where tasks leave what rank 0 puts together: files that only this run reads.

Where results are encrypted these are too, for a key that rank 0 makes, keeps in memory
and takes with it: of a run that is killed they tell nothing to anybody.
"""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.publish import get_readers


class Chest(NamedTuple):
    """A folder of what tasks have made.

    Parameters
    ----------
    reader
        The public key that it is encrypted for; empty where it is plain.
    key
        That opens it, on rank 0.
    """

    folder: Path
    reader: bytes = b""
    key: Any = None

    def get_path(self, number: int, name: str) -> Path:
        """Return the file of what a task leaves by a name."""
        return self.folder / f"{number:06d}.{name}"

    def save(self, number: int, name: str, data: bytes) -> None:
        """Leave what a task has made."""
        if self.reader:
            from hpc_connector.crypt4gh.whole import encrypt  # of an extra

            data = encrypt(data, self.reader)
        self.get_path(number, name).write_bytes(data)

    def read(self, number: int, name: str) -> bytes:
        """Return what a task has left; on rank 0."""
        path = self.get_path(number, name)
        data = path.read_bytes()
        if self.reader:
            from hpc_connector.crypt4gh.whole import decrypt

            return decrypt(data, self.key, str(path))
        return data

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)


def open_chest(comm: Communicator, folder: Path) -> Chest:
    """Make the folder; return it for this rank."""
    key, reader = None, b""
    with end_together(comm):
        if comm.rank == 0:
            folder.mkdir(exist_ok=True)
            if get_readers():
                from hpc_connector.crypt4gh.whole import make_own_key

                key, reader = make_own_key()
    return Chest(folder, comm.bcast(reader), key)
