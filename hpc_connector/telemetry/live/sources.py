"""Rows as they come: from the files of a run, or from a stream."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple, Protocol

from hpc_connector.cluster.state import RunState, get_end, is_run
from hpc_connector.errors import BadInput
from hpc_connector.storage.address import is_url
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.records import Position, Record
from hpc_connector.streams.stream import Stream
from hpc_connector.telemetry.columns import COLUMNS
from hpc_connector.telemetry.records import (
    LONGEST_HEAD,
    Row,
    check_columns,
    find_files,
    parse_row,
    say_none,
    split_line,
)

TAIL_BYTES = 4 << 20  # of a file that are read when it is first seen
TAIL_RECORDS = 600  # of a segment
MOST_RECORDS = 4096  # that are read at a time


class Came(NamedTuple):
    """What has come of a node since it was last asked for."""

    node: str
    rows: list[Row]
    has_ended: bool = False


class Source(Protocol):
    """Where rows come from."""

    name: str
    directory: Path | None  # of the run
    has_ended: bool  # nothing comes any more, were there no node

    def poll(self) -> list[Came]:
        """Return what has come of each node."""
        ...

    def get_state(self) -> RunState | None:
        """Return the state of the run; None where only its nodes tell."""
        ...

    def close(self) -> None:
        """Let go what is open."""
        ...


def open_source(place: str, profile: Path | None = None) -> Source:
    """Return the source of a folder of a run, or of the URL of a stream.

    Raises
    ------
    BadInput
        There is none.
    """
    if is_url(place):
        return StreamSource(open_stream(place, profile=profile))
    return FolderSource(Path(place))


class FolderSource:
    """The files NODE.csv of a run, which grow."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise BadInput(f"{directory}: expected the folder of a run, or a URL")
        if not (is_run(directory) or find_rows(directory)):
            raise BadInput(say_none(directory, []))
        self.name = directory.resolve().name
        self.directory: Path | None = directory
        self.has_ended = False  # that is told by its state
        self._folder = directory
        self._tails: dict[Path, Tail] = {}

    def poll(self) -> list[Came]:
        """Return the rows that were appended to each file."""
        found = []
        for path in find_rows(self._folder):
            tail = self._tails.setdefault(path, Tail(path))
            rows = tail.read()
            nodes = dict.fromkeys(row["node"] for row in rows) or tail.nodes
            tail.nodes = nodes
            for node in nodes:
                mine = [row for row in rows if row["node"] == node]
                found.append(Came(node, mine, has_totals(path)))
        return found

    def get_state(self) -> RunState | None:
        """Return the state of the run, None of a folder without one."""
        return get_end(self._folder) if is_run(self._folder) else None

    def close(self) -> None:
        """Nothing is open."""


def find_rows(directory: Path) -> list[Path]:
    """Return the CSV files of nodes."""
    return [path for path in find_files(directory) if path.suffix == ".csv"]


def has_totals(path: Path) -> bool:
    """Return whether an agent has written its totals behind the last row."""
    with contextlib.suppress(OSError):
        totals = path.with_suffix(".json").stat()
        return totals.st_mtime_ns >= path.stat().st_mtime_ns
    return False


class Tail:
    """The end of a file that grows; it is opened anew each time, as NFS wants it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self.nodes: dict[str, None] = {}
        self._at = 0

    def read(self) -> list[Row]:
        """Return the rows that were appended, but for a line that has no end yet."""
        try:
            with open(self.path, "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if size < self._at or not self.names:
                    self._at = self._begin(stream.readline(LONGEST_HEAD), size)
                if not self.names:
                    return []
                stream.seek(self._at)
                data = stream.read(size - self._at)
        except OSError:
            return []  # it will be there again, or not
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return parse_rows(whole.decode(errors="replace"), self.names)

    def _begin(self, head: bytes, size: int) -> int:
        """Take up the names of columns; return from where on rows are read."""
        if not head.endswith(b"\n"):
            return 0
        self.names = split_line(head.decode("utf-8-sig", "replace").rstrip("\r\n"))
        check_columns(self.path, self.names)
        return max(len(head), size - TAIL_BYTES)


def parse_rows(text: str, names: list[str]) -> list[Row]:
    """Return the rows of lines; what is no row, such as a head, is left out."""
    rows = [parse_row(line, names) for line in text.splitlines(keepends=True)]
    return [row for row in rows if row is not None]


class StreamSource:
    """The records that agents tell a stream, a segment a node."""

    def __init__(self, stream: Stream) -> None:
        self.name = stream.url
        self.directory: Path | None = None
        self.stream = stream
        self.has_ended = False
        states = stream.describe().segments
        self._segments = [Segment(one.segment, one.first) for one in states]

    def poll(self) -> list[Came]:
        """Return what the records of each segment say."""
        found = [one.read(self.stream) for one in self._segments]
        self.has_ended = all(one.has_ended for one in found)
        return [one for one in found if one.node]

    def get_state(self) -> None:
        """Return nothing: nodes alone tell."""

    def close(self) -> None:
        """Close the stream."""
        self.stream.close()


class Segment:
    """A segment that is read from where it was left."""

    def __init__(self, number: int, position: Position) -> None:
        self.number, self.position = number, position
        self.node, self.names = "", list(COLUMNS)
        self.has_ended, self._is_first = False, True

    def read(self, stream: Stream) -> Came:
        """Return the rows behind the last that was read."""
        is_sealed = stream.is_sealed(self.number)  # before the read: then it was all
        last = TAIL_RECORDS if self._is_first else MOST_RECORDS
        records: list[Record] = []
        while more := stream.read(
            self.number, self.position, most_records=MOST_RECORDS
        ):
            records = (records + more)[-last:]
            self.position = more[-1].position
        self._is_first = False
        rows = [row for record in records for row in self._parse(record)]
        return Came(self.node, rows, is_sealed or self.has_ended)

    def _parse(self, record: Record) -> list[Row]:
        """Return the rows of a record; note whether it is the last of an agent.

        Raises
        ------
        BadInput
            It is none of an agent.
        """
        key = record.key.decode(errors="replace")
        self.node, _, kind = key.rpartition(".")
        if not self.node or kind not in ("csv", "json"):
            raise BadInput(
                f"segment {self.number}: record at {record.position}: key "
                f"{key[:40]!r}: expected NODE.csv or NODE.json, of --telemetry-stream"
            )
        self.has_ended = kind == "json"
        text = record.value.decode(errors="replace")
        if self.has_ended:
            return []
        if text.startswith(f"{COLUMNS[0]},"):
            head, _, text = text.partition("\n")
            self.names = head.split(",")
        return parse_rows(text, self.names)
