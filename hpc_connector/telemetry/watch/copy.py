"""The rows of a node, told to a stream too: what its file has, record by record.

A record's key is the name of the file: NODE.csv, a record a sample, and NODE.json at
the end. Nothing that happens to the stream keeps rows from the file.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from hpc_connector.errors import UNUSABLE, BadInput

AGAIN_S = 60.0  # from an append that failed to the next: a server may keep it 30 s

Tell = Callable[[str, bytes], None]  # is given the name of a file, and what it gets


@contextlib.contextmanager
def open_copy(url: str, segment: int, profile: str, notes: list[str]) -> Iterator[Tell]:
    """Give what appends to a segment of a stream; without a URL it does nothing.

    Parameters
    ----------
    notes
        To which it is added that records were lost, and why.

    Raises
    ------
    BadInput
        At the beginning: there is no such stream or segment.
    """
    if not url:
        yield lambda name, data: None
        return
    from pathlib import Path  # what most agents need not load

    from hpc_connector.streams.open import open_stream

    known = Path(profile) if profile else None
    again_s = 0.0

    def tell(name: str, data: bytes) -> None:
        nonlocal again_s
        if time.monotonic() < again_s:
            return
        try:
            stream.append(segment, name.encode(), data)
        except UNUSABLE as error:
            again_s = time.monotonic() + AGAIN_S
            note = f"rows were not told to a stream: {error}"
            if note not in notes:
                notes.append(note)

    stream = open_stream(url, profile=known, sync="none")
    try:
        if segment >= (n := stream.n_segments):
            raise BadInput(f"{url}: segment {segment}: expected 0 to {n - 1}")
        yield tell
    finally:
        with contextlib.suppress(*UNUSABLE):
            stream.close()
