"""Near-data actions: objects on each node that take records and give a small result."""

import contextlib
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.actions.counts import Counts, Known, Row, make_rows
from hpc_connector.actions.host import Host, tell
from hpc_connector.actions.lines import (
    BREAK,
    END,
    READ,
    RECORD,
    WRITE,
    Line,
    MemoryHostLine,
    MemoryLine,
    PostHostLine,
    PostLine,
    answer_door,
    call_host,
    get_answer,
    open_door,
    pack_error,
)
from hpc_connector.actions.scratch import Scratch
from hpc_connector.errors import BadInput
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together, find_least
from hpc_connector.partitioner.nodes import Nodes, Post, open_nodes, open_post
from hpc_connector.partitioner.shared_memory import share_array

MEMORY_BYTES = 1 << 16  # of each rank, through which its records go
Merge = Callable[[Sequence[bytes]], Any]


@contextlib.contextmanager
def near_data(
    comm: Communicator,
    scratch: str | Path | None = None,
    *,
    scratch_bytes: int | None = None,
    between_nodes: bool = False,
) -> Iterator["Area"]:
    """Give an area of actions, one host a node; all ranks call it together.

    Parameters
    ----------
    scratch
        Folder of each node where actions keep files, such as ``$TMPDIR``; None for
        memory.
    scratch_bytes
        Most bytes of these files on a node.
    between_nodes
        Whether ranks write to actions of other nodes than their own.

    Examples
    --------
    >>> from collections import Counter
    >>> from hpc_connector.partitioner import get_mpicomm
    >>> class CountWords:
    ...     def on_create(self, context):
    ...         self.counts = Counter()
    ...     def on_write(self, records):
    ...         for record in records:
    ...             self.counts.update(bytes(record).split())
    ...     def on_read(self):
    ...         yield b"%d different" % len(self.counts)
    >>> with near_data(get_mpicomm(serial=True)) as area:
    ...     words = area.create("words", CountWords)
    ...     words.write([b"to be or", b"not to be"])
    ...     print(area.reduce("words", merge=lambda results: results[0].decode()))
    4 different
    """
    with contextlib.ExitStack() as stack:
        nodes = stack.enter_context(open_nodes(comm))
        post = stack.enter_context(open_post(comm)) if between_nodes else None
        here = nodes.here
        shape = (here.size, MEMORY_BYTES)
        memory = stack.enter_context(share_array(comm, shape, np.uint8))
        area = Area(comm, nodes, post)
        with end_together(comm):
            if here.rank == 0:
                folder = None if scratch is None else Path(scratch)
                room = Scratch(folder, scratch_bytes)
                area.host = Host(nodes.number, len(nodes.ranks), room)
        try:
            area.line = open_lines(nodes, comm.rank, area.host, memory)
            with serve_others(area.host, post):
                with end_together(comm):
                    yield area
                agree(comm, "the end of the area")
                area.end()
        finally:
            if area.host:
                area.host.stop()
            if area.line:
                area.line.end()
            area.line = None


class Area:
    """The actions of all nodes; ranks call its methods together, but for ``read``.

    Parameters
    ----------
    host
        On the first rank of each node.
    """

    def __init__(self, comm: Communicator, nodes: Nodes, post: Post | None) -> None:
        self._comm, self._nodes, self._post = comm, nodes, post
        self._counted: Known = {}
        self.host: Host | None = None
        self.line: Any = None
        self.rows: list[Row] = []
        self.lock = threading.RLock()  # threads of a rank write one after the other

    def create(
        self, name: str, make: Callable[[], Any], interleaving: bool = False
    ) -> "Written":
        """Make an action on each node; return what this rank writes to.

        Parameters
        ----------
        make
            A class, or what else returns an action: any object that has some of
            ``on_create(context)``, ``on_write(records)``, ``on_read()`` and
            ``on_delete()``.
        interleaving
            Whether a write that waits for its next record lets other calls in.
        """
        with end_together(self._comm):
            pass  # here, or at the end of the area
        agree(self._comm, f"create {name}")
        with end_together(self._comm):
            if self.host:
                self.host.create(name, make, interleaving)
        return Written(self, name)

    def reduce(self, name: str, merge: Merge | None = None) -> Any:
        """Return on rank 0 what `merge` makes of the results of nodes; else None.

        One result a node travels. All that was written before is in it.

        Parameters
        ----------
        merge
            Takes the bytes that ``on_read`` gave on each node, in their order; the
            action's own ``merge`` if None.
        """
        data, found = b"", None
        with end_together(self._comm):
            pass  # all have written
        agree(self._comm, f"reduce {name}")
        with end_together(self._comm):
            if self.host:
                data = self.host.read(name)
        self.count(name).moved_bytes += len(data) if self._nodes.number else 0
        results = self._nodes.gather(data)
        with end_together(self._comm):
            if self.host and results is not None:
                with tell(name):
                    found = (merge or self.host.hosted[name].action.merge)(results)
        return found

    def write(self, name: str, records: Iterable[Any], node: int | None) -> None:
        """Write records to an action; see :meth:`Written.write`."""
        own = self._nodes.number
        line: Line = self.get_line()
        if node is not None and node != own:
            if self._post is None or not 0 <= node < len(self._nodes.ranks):
                known = f"a node of 0..{len(self._nodes.ranks) - 1}"
                raise BadInput(f"node {node}: expected {known}, and between_nodes")
            line = PostLine(self._post, self._nodes.ranks[node])
        with self.lock:
            counts = self.count(name)
            try:
                n_bytes = write(line, name, records)
                counts.would_move_bytes += n_bytes if own else 0
            finally:
                if isinstance(line, PostLine):
                    counts.moved_bytes += line.n_sent

    def get_line(self) -> Any:
        """Return the line to the host of this node.

        Raises
        ------
        BadInput
            The area is no more.
        """
        if self.line is None:
            raise BadInput("the area has ended: expected calls within it")
        return self.line

    def count(self, name: str) -> Counts:
        """Return what this rank has counted of an action."""
        return self._counted.setdefault((name, self._nodes.number), Counts())

    def end(self) -> None:
        """End all actions; have what was counted on rank 0, in ``rows``."""
        with end_together(self._comm):
            if self.host:
                for name in [*self.host.hosted]:
                    counts = self.count(name)
                    counts += self.host.delete(name)
        node = self._nodes.number
        told = self._comm.gather((self._counted, node)) or []
        numbers = [number for _, number in told]
        n_ranks = {number: numbers.count(number) for number in numbers}
        self.rows = make_rows([known for known, _ in told], n_ranks)


class Written:
    """An action, as ranks see it.

    Parameters
    ----------
    name
        By which it was created.
    """

    def __init__(self, area: Area, name: str) -> None:
        self._area, self.name = area, name

    def write(self, records: Iterable[Any], node: int | None = None) -> None:
        """Write records, each of contiguous bytes, to the action of a node.

        It returns when the action has taken them all. A record that an iterator gives
        later is asked for once the action has taken the one before.

        Parameters
        ----------
        node
            That of this rank if None.
        """
        self._area.write(self.name, records, node)

    def read(self) -> bytes:
        """Return what the action of this rank's node gives."""
        with self._area.lock:
            return get_answer(self._area.get_line().ask(READ, self.name.encode()))


def agree(comm: Communicator, call: str) -> None:
    """Make sure that all ranks make the same call: else they wait for one another.

    Raises
    ------
    BadInput
        Some make another.
    """
    code = zlib.crc32(call.encode())
    least = find_least(comm, code, float("inf"))
    greatest = find_least(comm, -code, float("inf"))
    if (least, greatest) != (code, -code):
        raise BadInput(
            f"rank {comm.rank} is at {call}, others are not: expected the same calls "
            "of all ranks"
        )


def write(line: Line, name: str, records: Iterable[Any]) -> int:
    """Write records to an action by a line; return their bytes.

    Raises
    ------
    BaseException
        What the action has raised.
    """
    n_bytes = 0
    get_answer(line.ask(WRITE, name.encode()))
    for record in iterate(line, records):
        n_bytes += len(record)
        get_answer(line.ask(RECORD, record))
    get_answer(line.ask(END))
    return n_bytes


def iterate(line: Line, records: Iterable[Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield records as bytes; a host is told where there is none, but an error."""
    try:
        yield from (np.frombuffer(record, np.uint8) for record in records)
    except Exception as error:
        line.ask(BREAK, pack_error(error))
        raise


def open_lines(nodes: Nodes, rank: int, host: Host | None, memory: Any) -> MemoryLine:
    """Return the line of this rank to the host of its node, which serves it.

    Parameters
    ----------
    memory
        Of all ranks of this node, uint8 (ranks, bytes).
    """
    here = nodes.here
    own, other = socket.socketpair()
    with contextlib.ExitStack() as stack:
        address: bytes = b""
        with end_together(here):
            if host and here.size > 1:
                door = stack.enter_context(open_door())
                address = door.getsockname()
        address = here.bcast(address)
        with end_together(here):
            if not host:
                own.close()
                own = call_host(address, here.rank, rank)
        if host:
            host.serve(MemoryHostLine(rank, other, memory[0]))
        else:
            other.close()
        if address and host:
            for caller, place, number in answer_door(door, here.size - 1):
                host.serve(MemoryHostLine(number, caller, memory[place]))
    return MemoryLine(own, memory[here.rank])


@contextlib.contextmanager
def serve_others(host: Host | None, post: Post | None) -> Iterator[None]:
    """Serve ranks of other nodes too, if they write to this one."""
    if not host or not post:
        yield
        return
    lines: dict[int, PostHostLine] = {}

    def hear(rank: int, message: bytearray) -> None:
        if rank not in lines:
            lines[rank] = PostHostLine(rank, post)
            host.serve(lines[rank])
        lines[rank].put(message)

    is_over = threading.Event()
    thread = threading.Thread(target=post.listen, args=(hear, is_over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
