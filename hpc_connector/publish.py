"""Files that have their name only once they are whole."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def publish(path: Path) -> Iterator[BinaryIO]:
    """Give a stream to write; the file is renamed to `path` when it is on the disk.

    Without the sync a crash of the machine could leave an empty file of that name. An
    error leaves no half file, and names `path`, which an error of writing does not.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
