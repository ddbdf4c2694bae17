"""Segments in Pravega: what is a file in a folder is a stream of bytes there, a part.

A part has the name of its file behind that of the stream, and the same bytes. Its last
record is always whole, for Pravega appends bytes whole or not at all. A seal is in a
part of its own.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.streams.bytestream.calls import Calls
from hpc_connector.streams.records import Record
from hpc_connector.streams.segment_layout import (
    FILE,
    HEAD_BYTES,
    RECORD,
    SEAL_BYTES,
    SEAL_KEY,
    Damaged,
    Place,
    check_kept,
    get_first,
    make_head,
    make_seal,
    refuse_place,
    walk,
)

PIECE_BYTES = 2 << 20  # of a read: more than the longest record


class Found(NamedTuple):
    """A record that was read, and where the next one begins."""

    record: Record
    place: Place
    end: int


class Window(NamedTuple):
    """Bytes of a part that were read, the first of them at `start`."""

    name: str
    start: int
    data: bytes

    def covers(self, name: str, byte: int) -> bool:
        """Return whether a byte of a part is in it, or the next behind it."""
        return self.name == name and self.start <= byte <= self.start + len(self.data)


NOTHING = Window("", 0, b"")


class Parts:
    """The parts of a stream, and the bytes of each segment that were read last."""

    def __init__(self, calls: Calls, scope: str, stream: str) -> None:
        self.calls, self.scope, self.stream = calls, scope, stream
        self.windows: dict[int, Window] = {}
        self.ends: dict[int, Found] = {}
        self.newest: dict[int, str] = {}  # the last part, when it was looked for

    def ask(self, what: str, name: str, *arguments: Any) -> Any:
        """Call Pravega for one part."""
        return self.calls(what, self.scope, f"{self.stream}-{name}", *arguments)

    def list_names(self, segment: int) -> list[str]:
        """Return the names of the parts of a segment, in the order of sequences."""
        before = f"{self.stream}-"
        found = self.calls("list", self.scope, f"{before}{segment:04d}-")
        names = [name.removeprefix(before) for name in found]
        names = [name for name in names if FILE.fullmatch(name)]
        self.newest[segment] = names[-1] if names else ""
        return names

    def get_size(self, name: str) -> int:
        """Return how many bytes a part has."""
        return int(self.ask("size", name))

    def is_seal(self, name: str) -> bool:
        """Return whether a part is a seal."""
        if self.get_size(name) != HEAD_BYTES + SEAL_BYTES:
            return False
        first = get_first(name)
        data = self.ask("read", name, 0, PIECE_BYTES)
        return bool(data == make_head(first) + make_seal(first))

    def read(self, segment: int, name: str, byte: int) -> Window:
        """Return a window of a part from a byte on, and keep it for what is read next.

        Raises
        ------
        BadInput
            The part is none of a stream of ours, or was deleted meanwhile.
        """
        start = byte if byte > HEAD_BYTES else 0
        data: bytes | None = self.ask("read", name, start, PIECE_BYTES)
        if data is None and name == self.newest[segment]:
            data = b""  # it is listed before it is there
        if data is None:
            raise BadInput(f"{self.calls.where}: {name} was deleted: expected it there")
        expected = make_head(get_first(name))
        if start == 0 and data and data[:HEAD_BYTES] != expected:
            raise BadInput(f"{self.calls.where}: {name}: expected {expected!r} first")
        self.windows[segment] = Window(name, start, data)
        return self.windows[segment]

    def iterate(
        self, segment: int, name: str, byte: int, after: int
    ) -> Iterator[Found]:
        """Give the records of a part.

        Parameters
        ----------
        byte
            Where a record begins.
        after
            The sequence of the record before it.

        Raises
        ------
        BadInput
            Something else is stored there.
        """
        byte, is_fresh = max(byte, HEAD_BYTES), False
        window = self.windows.get(segment, NOTHING)
        if not window.covers(name, byte):
            window, is_fresh = self.read(segment, name, byte), True
        while True:
            start = byte
            for at, end, sequence, time_ns, key_bytes in walk(
                window.data, after, byte - window.start
            ):
                if key_bytes == SEAL_KEY:
                    return
                byte, after = window.start + end, sequence
                place = Place(sequence, name, window.start + at)
                value_at = at + RECORD.size + key_bytes
                key = window.data[at + RECORD.size : value_at]
                value = window.data[value_at:end]
                record = Record(segment, place.write(), sequence, key, value, time_ns)
                yield Found(record, place, byte)
            is_end = byte == start or len(window.data) < PIECE_BYTES
            if is_fresh and is_end:
                if byte < window.start + len(window.data):
                    raise Damaged(
                        f"{self.calls.where}: {name}: damaged at byte {byte}, record "
                        f"{after + 1}: expected a whole record there"
                    )
                return
            window, is_fresh = self.read(segment, name, byte), True

    def read_behind(self, segment: int, place: Place) -> Iterator[Record]:
        """Give the records of a segment behind a place.

        Raises
        ------
        BadInput
            Records behind it were deleted, or it is that of none.
        """
        names = self.list_names(segment)
        k, byte, after = self.find_start(segment, names, place)
        for name in names[k:]:
            for found in self.iterate(segment, name, byte, after):
                yield found.record
            byte, after = HEAD_BYTES, get_first(name) - 1

    def find_start(
        self, segment: int, names: Sequence[str], place: Place
    ) -> tuple[int, int, int]:
        """Return which part has what is behind a place, its byte, and what is before.

        Raises
        ------
        BadInput
            Records behind it were deleted, or it is that of none.
        """
        where = f"{self.calls.where}: segment {segment}"
        if check_kept(place, names, where):
            return 0, HEAD_BYTES, place.sequence
        found = self.find(segment, names, place)
        if found is None:
            raise refuse_place(place, where)
        return names.index(found.place.file), found.end, place.sequence

    def find(self, segment: int, names: Sequence[str], place: Place) -> Found | None:
        """Return the record of a sequence, None if there is none."""
        before = place.sequence - 1
        if place.file in names and place.byte >= HEAD_BYTES:
            with contextlib.suppress(Damaged):
                records = self.iterate(segment, place.file, place.byte, before)
                if (found := next(records, None)) and found.place == place:
                    return found
        for name in reversed(names):
            if get_first(name) <= place.sequence:
                for found in self.iterate(
                    segment, name, HEAD_BYTES, get_first(name) - 1
                ):
                    if found.place.sequence == place.sequence:
                        return found
                return None
        return None

    def find_last(self, segment: int, names: Sequence[str]) -> Place:
        """Return the place of the last record; else that before the first kept."""
        known = self.ends.get(segment)
        for name in reversed(names):
            last = known if known and known.place.file == name else None
            byte, after = HEAD_BYTES, get_first(name) - 1
            if last:
                byte, after = last.end, last.place.sequence
            for found in self.iterate(segment, name, byte, after):
                last = found
            if last:
                self.ends[segment] = last
                return last.place
        return Place(get_first(names[0]) - 1, names[0]) if names else Place(-1)

    def list_old(self, segment: int) -> list[tuple[int, str, int]]:
        """Return time of the last record, name and bytes of the parts but the last.

        The last is that with the last record, and what is behind it stays as well. No
        time is before that of the part before.
        """
        names = self.list_names(segment)
        last = self.find_last(segment, names).file
        found: list[tuple[int, str, int]] = []
        time_ns = 0
        for name in names[: names.index(last)] if last else []:
            before = get_first(name) - 1
            for each in self.iterate(segment, name, HEAD_BYTES, before):
                time_ns = max(time_ns, each.record.time_ns)
            found.append((time_ns, name, self.get_size(name)))
        return found
