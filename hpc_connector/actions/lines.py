"""Lines between ranks and the host of a node: a message, then its answer.

Inside a node a message lies in memory that both share, and a socket says that it is
there: the host takes it where it lies. Between nodes it travels by MPI.
"""

import contextlib
import os
import pickle
import queue
import select
import socket
import struct
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.partitioner.nodes import Post

WRITE, RECORD, END, BREAK, READ = b"w", b"r", b"e", b"b", b"g"  # of a rank
MORE, DONE, ERROR = b"+", b".", b"!"  # of a host
HEAD = struct.Struct("=cQQ")  # kind, bytes in all, and bytes that are in memory now
CALLER = struct.Struct("=II")
CREDENTIALS = struct.Struct("3i")  # process, user and group of who calls
Answer = tuple[bytes, bytes]


class LineEnd(Exception):
    """The other end of a line is gone."""


class Line(Protocol):
    """A rank's end of a line."""

    def ask(self, kind: bytes, data: Any = b"") -> Answer:
        """Send a message; return its answer."""


class HostLine(Protocol):
    """A host's end of a line."""

    rank: int

    def is_ready(self) -> bool:
        """Return whether there is a message."""

    def wait(self) -> None:
        """Wait for a message, or the end of the line."""

    def receive(self) -> tuple[bytes, memoryview]:
        """Return a message, which is valid until it is answered.

        Raises
        ------
        LineEnd
            The line has ended.
        """

    def answer(self, kind: bytes, data: bytes = b"") -> None:
        """Answer a message."""

    def end(self) -> None:
        """Have all that wait for a message see the end."""

    def close(self) -> None:
        """Give back what the line needs; nobody waits any more."""


class MemoryLine:
    """A rank's end inside a node.

    Parameters
    ----------
    memory
        Of this rank, which the host sees too, uint8 (bytes,).
    """

    def __init__(self, own: socket.socket, memory: NDArray[np.uint8]) -> None:
        self._socket, self._memory = own, memory

    def ask(self, kind: bytes, data: Any = b"") -> Answer:
        """Send a message; return its answer."""
        whole = np.frombuffer(data, np.uint8)
        for first in range(0, max(len(whole), 1), len(self._memory)):
            piece = whole[first : first + len(self._memory)]
            self._memory[: len(piece)] = piece
            self._socket.sendall(HEAD.pack(kind, len(whole), len(piece)))
            answer = _receive_answer(self._socket)
        return answer

    def end(self) -> None:
        """Close the line."""
        self._socket.close()


class MemoryHostLine:
    """A host's end inside a node; see :class:`MemoryLine`."""

    def __init__(
        self, rank: int, own: socket.socket, memory: NDArray[np.uint8]
    ) -> None:
        self.rank, self._socket = rank, own
        self._memory = memoryview(memory.data)

    def is_ready(self) -> bool:
        """Return whether there is a message."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def wait(self) -> None:
        """Wait for a message, or the end of the line."""
        select.select([self._socket], [], [])

    def receive(self) -> tuple[bytes, memoryview]:
        """Return a message; what is longer than the memory is put together."""
        kind, n_bytes, n_here = HEAD.unpack(_receive(self._socket, HEAD.size))
        if n_here == n_bytes:
            return kind, self._memory[:n_here].toreadonly()
        whole = bytearray(self._memory[:n_here])
        while len(whole) < n_bytes:
            self.answer(MORE)
            *_, n_here = HEAD.unpack(_receive(self._socket, HEAD.size))
            whole += self._memory[:n_here]
        return kind, memoryview(whole).toreadonly()

    def answer(self, kind: bytes, data: bytes = b"") -> None:
        """Answer a message; who asks may be gone."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(HEAD.pack(kind, len(data), 0) + data)

    def end(self) -> None:
        """Have all that wait for a message see the end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the line."""
        self._socket.close()


class PostLine:
    """A rank's end of a line to the host of another node; all that it sends counts."""

    def __init__(self, post: Post, host: int) -> None:
        self._post, self._host, self.n_sent = post, host, 0

    def ask(self, kind: bytes, data: Any = b"") -> Answer:
        """Send a message; return its answer."""
        message = kind + bytes(data)
        self.n_sent += len(message)
        answer = self._post.ask(self._host, message)
        return answer[:1], answer[1:]


class PostHostLine:
    """A host's end of a line to a rank of another node, whose messages are put here."""

    def __init__(self, rank: int, post: Post) -> None:
        self.rank, self._post = rank, post
        self._messages: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._next: bytearray | None = None

    def put(self, message: bytearray) -> None:
        """Take a message that has come; an empty one ends the line."""
        self._messages.put(message)

    def is_ready(self) -> bool:
        """Return whether there is a message."""
        return self._next is not None or not self._messages.empty()

    def wait(self) -> None:
        """Wait for a message, or the end of the line."""
        if self._next is None:
            self._next = self._messages.get()

    def receive(self) -> tuple[bytes, memoryview]:
        """Return a message."""
        self.wait()
        message, self._next = self._next, None
        if not message:
            raise LineEnd
        whole = memoryview(message).toreadonly()
        return bytes(whole[:1]), whole[1:]

    def answer(self, kind: bytes, data: bytes = b"") -> None:
        """Answer a message."""
        self._post.answer(self.rank, kind + data)

    def end(self) -> None:
        """Have all that wait for a message see the end."""
        self.put(bytearray())

    def close(self) -> None:
        """Give nothing back."""


def open_door() -> socket.socket:
    """Return a socket that ranks of this node call, by a name that no file has."""
    door = socket.socket(socket.AF_UNIX)
    door.bind("")  # Linux finds a name
    door.listen(socket.SOMAXCONN)
    return door


def call_host(address: bytes, place: int, rank: int) -> socket.socket:
    """Return a socket to the host of this node.

    Parameters
    ----------
    address
        Of :func:`open_door`.
    place, rank
        Of this rank, on the node and among all.
    """
    own = socket.socket(socket.AF_UNIX)
    try:
        own.connect(address)
        own.sendall(CALLER.pack(place, rank))
    except OSError as error:
        own.close()
        raise BadInput(
            f"ranks of one node do not reach its host ({error}): expected them in one "
            "network namespace"
        ) from None
    return own


def answer_door(
    door: socket.socket, n: int
) -> Iterator[tuple[socket.socket, int, int]]:
    """Yield sockets to as many callers, and who they are; other users are sent away."""
    while n:
        own, _ = door.accept()
        found = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        if CREDENTIALS.unpack(found)[1] != os.geteuid():
            own.close()
            continue
        place, rank = CALLER.unpack(_receive(own, CALLER.size))
        yield own, place, rank
        n -= 1


def pack_error(error: BaseException) -> bytes:
    """Return an exception as it travels."""
    try:
        data = pickle.dumps(error)
        pickle.loads(data)  # not all that can be packed can be unpacked
        return data
    except Exception:
        return pickle.dumps(BadInput(str(error)))


def unpack_error(data: bytes | memoryview) -> BaseException:
    """Return an exception that has travelled."""
    error: BaseException = pickle.loads(data)
    return error


def get_answer(answer: Answer) -> bytes:
    """Return the data of an answer.

    Raises
    ------
    BaseException
        What the host has raised.
    """
    kind, data = answer
    if kind == ERROR:
        raise unpack_error(data)
    return data


def _receive_answer(own: socket.socket) -> Answer:
    try:
        kind, n_bytes, _ = HEAD.unpack(_receive(own, HEAD.size))
        return kind, _receive(own, n_bytes)
    except LineEnd:
        raise ConnectionError("the host of this node's actions is gone") from None


def _receive(own: socket.socket, n_bytes: int) -> bytes:
    """Return as many bytes; raise LineEnd where the other end is gone."""
    data = bytearray()
    while len(data) < n_bytes:
        try:
            piece = own.recv(n_bytes - len(data))
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise LineEnd
        data += piece
    return bytes(data)
