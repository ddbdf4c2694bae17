"""The file that HDF5 writes, and what an error of the disk does to it: nothing."""

import io
import os
from typing import Any


class Sink(io.RawIOBase):
    """A new file, as h5py takes one from Python, which tells HDF5 of no error.

    HDF5 ends the process by a segmentation fault when it closes a file on a disk that
    is full. Here the first error is kept, and what comes after it is dropped: who made
    this raises it, once the file is closed.

    Parameters
    ----------
    descriptor
        Of an empty file to read and write, which stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self.error: OSError | None = None
        self._descriptor, self._place, self._size = descriptor, 0, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, and return it."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}
        self._place = origin[whence] + offset
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def write(self, data: Any) -> int:
        """Write all, unless there was an error."""
        rest = memoryview(data).cast("B")
        n_bytes, place = len(rest), self._place
        while rest and self.error is None:
            try:
                n = os.pwrite(self._descriptor, rest, place)
                rest, place = rest[n:], place + n
            except OSError as error:
                self.error = error
        self._place += n_bytes
        self._size = max(self._size, self._place)
        return n_bytes

    def readinto(self, buffer: Any) -> int:
        """Read what was written; zeros for what was dropped."""
        target = memoryview(buffer).cast("B")
        try:
            found = os.pread(self._descriptor, len(target), self._place)
        except OSError as error:
            found, self.error = b"", self.error or error
        target[:] = found.ljust(len(target), b"\0")
        self._place += len(target)
        return len(target)

    def truncate(self, size: int | None = None) -> int:
        """Give the file a size."""
        self._size = self._place if size is None else size
        try:
            os.truncate(self._descriptor, self._size)
        except OSError as error:
            self.error = self.error or error
        return self._size
