"""Streams in a folder of files: the default, without a server."""

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self, TypeVar, get_args

from hpc_connector.errors import BadInput
from hpc_connector.locks.process_lock import describe_holder
from hpc_connector.storage import address
from hpc_connector.streams.follow import wait_for_records
from hpc_connector.streams.records import (
    END,
    START,
    Position,
    Record,
    check_most,
    check_segments,
    name_segment,
    refuse_missing,
    refuse_sealed,
)
from hpc_connector.streams.retention import delete_file, list_deletable
from hpc_connector.streams.segment_layout import (
    ROLL_BYTES,
    Damaged,
    Place,
    Settings,
    get_first,
    list_files,
    make_settings,
    read_settings,
    save_settings,
)
from hpc_connector.streams.segment_reader import (
    End,
    find_end,
    may_be_sealed,
    read_records,
)
from hpc_connector.streams.segment_writer import SegmentWriter, name_lock
from hpc_connector.streams.stream import SegmentState, StreamState, Sync

Result = TypeVar("Result")
TRIES = 5  # to read files while another process deletes them


class FileStream:
    """A stream of file segments; see :class:`hpc_connector.streams.stream.Stream`."""

    def __init__(
        self, url: str, *, sync: Sync = "1s", skip_damaged: bool = False
    ) -> None:
        if sync not in get_args(Sync):
            raise BadInput(
                f"sync {sync!r}: expected one of {', '.join(get_args(Sync))}"
            )
        self.url = url
        self.folder = Path(address.take(url))
        self.sync: Sync = sync
        self.skipped: set[str] | None = set() if skip_damaged else None
        self.known: Settings | None = None
        self.sealed: set[int] = set()
        self.writers: dict[int, SegmentWriter] = {}

    @property
    def settings(self) -> Settings:
        """What ``stream.json`` says.

        Raises
        ------
        BadInput
            There is none.
        """
        self.known = self.known or read_settings(self.folder)
        if self.known is None:
            raise refuse_missing(self.url)
        return self.known

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return self.settings.segments

    def create(self, n_segments: int = 1, *, roll_bytes: int = ROLL_BYTES) -> None:
        """Make the stream, whose files have at most `roll_bytes`."""
        found = read_settings(self.folder)
        check_segments(n_segments, self.url, found.segments if found else None)
        if found:
            return
        save_settings(self.folder, make_settings(n_segments, roll_bytes))

    def append(
        self, segment: int, key: bytes, value: bytes, sequence: int | None = None
    ) -> Position:
        """Append a record; return its position."""
        return self.get_writer(segment).append(key, value, sequence)

    def append_many(
        self,
        segment: int,
        records: Iterable[tuple[bytes, bytes]],
        sequence: int | None = None,
    ) -> Position:
        """Append records; return the position of the last."""
        return self.get_writer(segment).append_many(records, sequence)

    def read(
        self,
        segment: int,
        position: Position = START,
        *,
        most_records: int,
        wait_s: float = 0.0,
    ) -> list[Record]:
        """Return the records behind a position."""
        where = self.name_segment(segment)
        check_most(most_records, where)
        place = Place.parse(self.tail(segment) if position == END else position, where)
        asked = (self.folder, segment, place, most_records, self.skipped)
        return wait_for_records(
            lambda: retry(lambda: read_records(*asked)),
            lambda: self.is_sealed(segment),
            wait_s,
        )

    def tail(self, segment: int) -> Position:
        """Return the position of the last record."""
        return self.find_end(segment).last.write()

    def is_sealed(self, segment: int) -> bool:
        """Return whether a segment has ended."""
        if segment in self.sealed:
            return True
        files = self.list_files(segment)
        if not may_be_sealed(self.folder, files):
            return False
        with contextlib.suppress(Damaged):  # which is told by who reads
            if not self.find_end(segment).is_sealed:
                return False  # the value of its last record looks like a seal
        self.sealed.add(segment)
        return True

    def seal(self, segment: int | None = None) -> None:
        """End a segment, or all."""
        chosen = range(self.n_segments) if segment is None else [segment]
        for number in chosen:
            if not self.is_sealed(number):
                self.get_writer(number).seal()

    def retain(self, before: int | None = None, keep_bytes: int | None = None) -> int:
        """Delete whole files, never the last of a segment; return how many bytes."""
        return sum(
            delete_file(path)
            for path in list_deletable(
                self.folder, range(self.n_segments), before, keep_bytes
            )
        )

    def describe(self) -> StreamState:
        """Return what there is of each segment; it reads the last file of each."""
        segments = tuple(map(self.describe_segment, range(self.n_segments)))
        return StreamState(self.url, self.settings.created, segments)

    def describe_segment(self, segment: int) -> SegmentState:
        """Return what there is of a segment."""
        files = self.list_files(segment)
        end = self.find_end(segment)
        first = Place(get_first(files[0]) - 1, files[0]) if files else Place(-1)
        return SegmentState(
            segment,
            first.write(),
            end.last.write(),
            end.last.sequence - first.sequence,
            sum(os.path.getsize(self.folder / name) for name in files),
            end.is_sealed,
            describe_holder(self.folder / name_lock(segment)),
        )

    def find_end(self, segment: int) -> End:
        """Return where a segment ends."""
        return retry(lambda: find_end(self.folder, self.list_files(segment)))

    def list_files(self, segment: int) -> list[str]:
        """Return the names of the files of a segment."""
        self.name_segment(segment)
        return list_files(self.folder, segment)

    def name_segment(self, segment: int) -> str:
        """Return the name of a segment for messages; refuse one that there is not."""
        return name_segment(self.url, segment, self.n_segments)

    def get_writer(self, segment: int) -> SegmentWriter:
        """Return the writer of a segment, which is taken if it was not."""
        if segment not in self.writers:
            where = self.name_segment(segment)
            if self.is_sealed(segment):
                raise refuse_sealed(where)
            self.writers[segment] = SegmentWriter(
                self.folder, segment, where, self.settings.roll_bytes, self.sync
            )
        return self.writers[segment]

    def close(self) -> None:
        """Have all on the disk, and let others write."""
        with contextlib.ExitStack() as stack:
            while self.writers:
                stack.callback(self.writers.popitem()[1].close)

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self.close()


def retry(read: Callable[[], Result]) -> Result:
    """Return what a read of files gives, again where one was deleted meanwhile."""
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError):
            return read()
    return read()
