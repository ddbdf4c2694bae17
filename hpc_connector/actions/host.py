"""The host of a node's actions: it makes them, and calls one at a time.

Each line has a thread, which mostly waits; the turn of an action makes its calls one
after the other, in the order in which they came.
"""

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hpc_connector.actions.counts import Counts
from hpc_connector.actions.lines import (
    BREAK,
    DONE,
    END,
    ERROR,
    MORE,
    READ,
    RECORD,
    WRITE,
    HostLine,
    LineEnd,
    pack_error,
    unpack_error,
)
from hpc_connector.actions.scratch import Scratch, ScratchFile
from hpc_connector.errors import BadInput


class BrokenOff(BaseException):
    """The records of a write have not come to their end, for what a rank raised."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class Action(Protocol):
    """What actions may do: any class that has some of these, and no base.

    ``on_create(context)`` and ``on_delete()`` are called once;
    ``on_write(records)`` with an iterator of memoryviews, each valid until the next is
    asked for, whose ``rank`` is the rank that writes; ``on_read()`` yields bytes.
    """


@dataclass(frozen=True)
class Context:
    """What an action is told of where it is.

    Parameters
    ----------
    name
        By which it was created.
    node, n_nodes
        Where it is, from 0, and how many have one like it.
    scratch
        Room for its files.
    """

    name: str
    node: int
    n_nodes: int
    scratch: Scratch

    def open(self) -> ScratchFile:
        """Return a new file, which is gone at the end."""
        return self.scratch.open()


class Turn:
    """One at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._next, self._now = 0, 0
        self.held_s, self._since_s = 0.0, 0.0

    def take(self) -> None:
        """Wait for the turn."""
        with self._change:
            mine, self._next = self._next, self._next + 1
            self._change.wait_for(lambda: self._now == mine)
        self._since_s = time.perf_counter()

    def give(self) -> None:
        """Let the next have the turn."""
        self.held_s += time.perf_counter() - self._since_s
        with self._change:
            self._now += 1
            self._change.notify_all()

    @contextlib.contextmanager
    def wait(self) -> Iterator[None]:
        """Keep the turn within a block that waits, whose time does not count."""
        since_s = time.perf_counter()
        yield
        self.held_s -= time.perf_counter() - since_s

    @contextlib.contextmanager
    def lend(self) -> Iterator[None]:
        """Let others have the turn within a block that waits."""
        self.give()
        try:
            yield
        finally:
            self.take()

    def count_waiting(self) -> int:
        """Return how many wait for the turn, or have it."""
        with self._change:
            return self._next - self._now

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Have the turn within a block."""
        self.take()
        try:
            yield
        finally:
            self.give()


@dataclass
class Hosted:
    """An action on this node.

    Parameters
    ----------
    interleaving
        Whether a call that waits for a record lets others have their turn.
    failed
        What it raised first; it is called no more then.
    """

    name: str
    action: Any
    interleaving: bool
    turn: Turn = field(default_factory=Turn)
    counts: Counts = field(default_factory=Counts)
    failed: BaseException | None = None


class Records:
    """The records of one write, as they come.

    Parameters
    ----------
    rank
        Who writes them.
    """

    def __init__(self, line: HostLine, hosted: Hosted) -> None:
        self.rank = line.rank
        self._line, self._hosted, self._is_over = line, hosted, False

    def __iter__(self) -> "Records":
        """Return itself."""
        return self

    def __next__(self) -> memoryview:
        """Return the next record; the turn may go round while there is none."""
        if self._is_over:
            raise StopIteration
        self._line.answer(MORE)
        if not self._line.is_ready():
            turn = self._hosted.turn
            with turn.lend() if self._hosted.interleaving else turn.wait():
                self._line.wait()
        kind, record = self._line.receive()
        self._is_over = kind != RECORD
        if kind == END:
            raise StopIteration
        if kind == BREAK:
            raise BrokenOff(unpack_error(record))
        if kind != RECORD:
            name = self._hosted.name
            raise BrokenOff(
                BadInput(
                    f"action {name}: rank {self.rank} makes another call while its "
                    "records are written: expected one after the other"
                )
            )
        self._hosted.counts.records += 1
        self._hosted.counts.in_bytes += len(record)
        return record


class Host:
    """The actions of a node, and the threads that serve its ranks."""

    def __init__(self, node: int, n_nodes: int, scratch: Scratch) -> None:
        self._place = node, n_nodes
        self._scratch = scratch
        self.hosted: dict[str, Hosted] = {}
        self._served: list[tuple[HostLine, threading.Thread]] = []

    def serve(self, line: HostLine) -> None:
        """Serve a line from now on, in a thread of its own."""
        thread = threading.Thread(target=self._serve, args=(line,), daemon=True)
        self._served.append((line, thread))
        thread.start()

    def create(self, name: str, make: Callable[[], Any], interleaving: bool) -> None:
        """Make an action.

        Raises
        ------
        BadInput
            There is one of that name, or it raises.
        """
        if name in self.hosted:
            raise BadInput(f"action {name}: expected another name, this one is taken")
        with tell(name):
            hosted = Hosted(name, make(), interleaving)
            call(hosted.action, "on_create", Context(name, *self._place, self._scratch))
        self.hosted[name] = hosted

    def read(self, name: str) -> bytes:
        """Return what an action gives."""
        with self._use(name) as hosted:
            found = call(hosted.action, "on_read")
            data = b"".join(found or ())
            hosted.counts.out_bytes += len(data)
        return data

    def delete(self, name: str) -> Counts:
        """End an action; return what was counted."""
        hosted = self.hosted.pop(name)
        if hosted.failed is None:
            with tell(name), hosted.turn.hold():
                call(hosted.action, "on_delete")
        hosted.counts.wall_s = hosted.turn.held_s
        return hosted.counts

    def stop(self) -> None:
        """End all lines, and wait for their threads."""
        for line, _ in self._served:
            line.end()
        for line, thread in self._served:
            thread.join()
            line.close()
        self._scratch.close()

    def _serve(self, line: HostLine) -> None:
        """Answer the messages of a line until it ends."""
        with contextlib.suppress(LineEnd):
            while True:
                kind, data = line.receive()
                try:
                    answer = self._act(line, kind, bytes(data))
                except LineEnd:
                    raise
                except BaseException as error:
                    line.answer(ERROR, pack_error(error))
                else:
                    line.answer(DONE, answer)

    def _act(self, line: HostLine, kind: bytes, data: bytes) -> bytes:
        """Do what a message says, which may be of a write that is over; answer it."""
        if kind == READ:
            return self.read(data.decode())
        if kind == WRITE:
            self._write(line, data.decode())
        return b""

    def _write(self, line: HostLine, name: str) -> None:
        """Have an action take what a line writes; what it leaves is dropped."""
        with self._use(name) as hosted:
            records = Records(line, hosted)
            call(hosted.action, "on_write", records)
            for _ in records:
                pass

    @contextlib.contextmanager
    def _use(self, name: str) -> Iterator[Hosted]:
        """Give an action whose turn it is.

        Raises
        ------
        BadInput
            There is none of that name, or it fails, now or earlier.
        """
        if name not in self.hosted:
            known = ", ".join(self.hosted) or "none"
            raise BadInput(f"action {name}: expected one that was created: {known}")
        hosted = self.hosted[name]
        with hosted.turn.hold():
            if hosted.failed is not None:
                raise hosted.failed
            try:
                with tell(name):
                    yield hosted
            except LineEnd:
                hosted.failed = ConnectionError(f"a rank that wrote to {name} is gone")
                raise
            except BrokenOff as broken:
                hosted.failed = broken.error
                raise broken.error from None
            except BaseException as error:
                hosted.failed = error
                raise


@contextlib.contextmanager
def tell(name: str) -> Iterator[None]:
    """Say of what an action raises which it was, and where.

    Wrong input, a full disk and the like stay what they are.
    """
    try:
        yield
    except (BadInput, LineEnd, MemoryError, OSError):
        raise
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise BadInput(
            f"action {name} raised {type(error).__name__}: {error} "
            f"({Path(place.filename).name}, line {place.lineno})"
        ) from None


def call(action: Any, method: str, *values: Any) -> Iterable[bytes] | None:
    """Call a method that an action may have; return what that returns."""
    act = getattr(action, method, None)
    found: Iterable[bytes] | None = act(*values) if act else None
    return found
