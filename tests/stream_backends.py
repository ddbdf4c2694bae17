"""The kinds of streams that one suite is run on: each gives URLs of new streams."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hpc_connector.streams.open import open_stream
from nats_servers import BINARIES, name_streams, serve_nats
from pravega_server import get_pravega


@dataclass(frozen=True)
class Backend:
    """One kind of stream, which is served as long as this is open.

    Parameters
    ----------
    make_url
        Gives the URL of a stream that is not there yet, each time of another.
    kill
        Kills the server (-9) and starts it again, on what it had stored; None where
        there is no server.
    survives
        Whether what was appended is there after that.
    profile
        For :func:`hpc_connector.streams.stream.open_stream`.
    """

    make_url: Callable[[], str]
    kill: Callable[[], None] | None = None
    survives: bool = True
    profile: Path | None = None

    def open(self, url, **options):
        """Open one of its streams."""
        return open_stream(url, profile=self.profile, **options)


@contextlib.contextmanager
def serve_files(folder: Path) -> Iterator[Backend]:
    """Give streams of files in a folder."""
    names = iter(range(10**9))
    yield Backend(lambda: f"file://{folder}/{next(names)}")


@contextlib.contextmanager
def serve_in_pravega(folder: Path) -> Iterator[Backend]:
    """Give streams of a real server, which keeps all in memory: a kill loses it."""
    address = get_pravega()
    yield Backend(lambda: f"pravega://{address}/tests/{uuid.uuid4()}")


@contextlib.contextmanager
def serve_jetstream(binary: str, folder: Path) -> Iterator[Backend]:
    """Give streams of a server of NATS."""
    names = name_streams()
    with serve_nats(binary, folder) as server:
        yield Backend(lambda: server.make_url(next(names)), server.restart)


# By its name: a context that serves a kind of stream from a folder of its own. It skips
# the test where its server or its client is not installed (conftest.give_up).
BACKENDS: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {
    "file": serve_files,
    **{name: partial(serve_jetstream, binary) for name, binary in BINARIES.items()},
    "pravega": serve_in_pravega,
}
