"""Journals: the events of a catalogue on a shared file system, a file a writer.

Nobody writes to the file of another, so that there is nothing to lock. Readers merge
all files in order of (time, file, line) into tables on their local disk.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hpc_connector.catalogue.database import dump, writing
from hpc_connector.catalogue.events import (
    Event,
    apply,
    get_actor,
    insert_event,
    pack_event,
    replay,
    sign_event,
    unpack_event,
)
from hpc_connector.confidential.chain import (
    FIRST,
    append_line,
    format_time,
    get_time,
    hash_line,
)
from hpc_connector.errors import BadInput
from hpc_connector.locks.holder import get_birth
from hpc_connector.publish import sync_folder

ENDING = ".jsonl"
INSTANT = timedelta(milliseconds=1)


class Journal:
    """The journal of this process, made with its first event."""

    def __init__(self, folder: Path) -> None:
        host = os.uname().nodename.partition(".")[0]
        start = get_birth(os.getpid())
        self.path = folder / f"{host}-{os.getpid()}-{start}{ENDING}"
        self._stream: BinaryIO | None = None
        self._seq, self._prev, self._time = 0, FIRST, ""

    def append(
        self, whats: Sequence[tuple[dict[str, Any], str]], signer: Any = None
    ) -> None:
        """Append events; they are on the disk when this returns.

        Parameters
        ----------
        whats
            What they do, each with the time of the last event that it knows of: its own
            is later, whatever the clocks of the machines say.
        signer
            Key by which they are signed, None for no signature.
        """
        seq, prev, actor = self._seq, self._prev, get_actor()
        lines: list[bytes] = []
        for what, after in whats:
            self._time = max(get_time(), self._time, add_instant(after))
            seq += 1
            event = sign_event(Event(seq, self._time, actor, what, prev), signer)
            lines.append(pack_event(event))
            prev = hash_line(lines[-1])
        try:
            append_line(self._stream or self._open(), b"\n".join(lines))
        except OSError as error:
            raise BadInput(f"{self.path}: {error.strerror}") from None
        self._seq, self._prev = seq, prev

    def _open(self) -> BinaryIO:
        """Return the file, which is new: one that this process has closed stays so."""
        first, number = self.path, 1
        while self._stream is None:
            with contextlib.suppress(FileExistsError):
                self._stream = open(self.path, "xb")  # noqa: SIM115
            number += 1
            if self._stream is None:
                self.path = first.with_stem(f"{first.stem}-{number}")
        sync_folder(self.path.parent)
        return self._stream

    def close(self) -> None:
        """End it."""
        if self._stream:
            self._stream.close()


def add_instant(time: str) -> str:
    """Return the time a millisecond after another; the last that can be said if none.

    Examples
    --------
    >>> add_instant("2026-11-30T23:59:59.999Z")
    '2026-12-01T00:00:00.000Z'
    """
    if not time:
        return ""
    try:
        return format_time(datetime.fromisoformat(time) + INSTANT)
    except (ValueError, OverflowError):
        return time


def read_whole(path: Path, first: int) -> list[bytes]:
    """Return the whole lines of a journal from a byte on, without their newlines.

    What stands behind the last newline is being written, or was torn by a crash:
    nothing was told done of it.

    Raises
    ------
    BadInput
        It cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            stream.seek(first)
            return stream.read().split(b"\n")[:-1]
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}: expected a journal") from None


def list_journals(folder: Path) -> list[Path]:
    """Return the journals of a folder, in order of their names."""
    return sorted(path for path in folder.glob(f"*{ENDING}") if path.is_file())


class Placed(NamedTuple):
    """An event, and what puts it in order."""

    time: str
    file: str
    line: int
    event: Event


class Known(NamedTuple):
    """What of a journal is in the tables: so many bytes, and the last line's digest."""

    bytes: int = 0
    lines: int = 0
    last: str = FIRST
    damaged: str = "[]"


def merge(folder: Path, connection: sqlite3.Connection) -> None:
    """Bring the tables up to what the journals of a folder say."""
    there = {path.name: path.stat().st_size for path in list_journals(folder)}
    sizes = connection.execute("SELECT file, bytes FROM journal")
    if dict(sizes.fetchall()) == there:
        return
    with writing(connection):
        known = _get_known(connection, there)
        found: dict[str, list[Placed]] = {}
        for name in there:
            for one in _take_journal(connection, folder / name, known[name]):
                found.setdefault(one.event.what["id"], []).append(one)
        for name, placed in found.items():
            take_events(connection, name, sorted(placed))


def take_events(connection: sqlite3.Connection, name: str, new: list[Placed]) -> None:
    """Add new events of a data set, in order, and do them; after earlier ones anew."""
    last = connection.execute(
        "SELECT time, file, line FROM event WHERE json_extract(what, '$.id') = ? "
        "ORDER BY time DESC, file DESC, line DESC LIMIT 1",
        (name,),
    ).fetchone()
    for one in new:
        insert_event(connection, one.event, one.file, one.line)
    if last and new[0][:3] < last:
        replay(connection, name)
        return
    for one in new:
        apply(connection, one.event)


def _get_known(
    connection: sqlite3.Connection, there: dict[str, int]
) -> dict[str, Known]:
    """Return what is known of each journal; if one is gone, or shorter, nothing is."""
    rows = connection.execute("SELECT file, bytes, lines, last, damaged FROM journal")
    known = {file: Known(*rest) for file, *rest in rows}
    if any(there.get(file, -1) < told.bytes for file, told in known.items()):
        for table in ("text", "dataset", "policy", "event", "journal"):
            connection.execute(f"DELETE FROM {table}")
        known = {}
    return {name: known.get(name, Known()) for name in there}


def _take_journal(
    connection: sqlite3.Connection, path: Path, known: Known
) -> list[Placed]:
    """Return the new events of a journal, which is known as far as they go then."""
    problems, found = json.loads(known.damaged), []
    n_bytes, last = known.bytes, known.last
    lines = read_whole(path, n_bytes)
    for number, line in enumerate(lines, known.lines + 1):
        try:
            event = unpack_event(line)
            found.append(Placed(event.time, path.name, number, event))
            if last and event.prev != last:
                problems.append([number, "it does not follow the line before it"])
            last = hash_line(line)
        except ValueError as error:
            problems.append([number, str(error)])
            last = ""  # what follows names the line as it was
        n_bytes += len(line) + 1
    connection.execute(
        "INSERT OR REPLACE INTO journal VALUES(?, ?, ?, ?, ?)",
        (path.name, n_bytes, known.lines + len(lines), last, dump(problems)),
    )
    return found


def list_damage(connection: sqlite3.Connection) -> list[str]:
    """Return a phrase for each line of a journal that is damaged."""
    rows = connection.execute("SELECT file, damaged FROM journal ORDER BY file")
    return [
        f"{file}, line {number}: {problem}"
        for file, damaged in rows
        for number, problem in json.loads(damaged)
    ]
