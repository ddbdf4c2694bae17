"""A stream in Pravega: a part for what it is, and parts for its segments."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from typing import Self

from hpc_connector.errors import BadInput
from hpc_connector.streams.bytestream.calls import Calls
from hpc_connector.streams.bytestream.parts import PIECE_BYTES, Parts
from hpc_connector.streams.bytestream.writer import PartWriter
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
)
from hpc_connector.streams.segment_layout import (
    ROLL_BYTES,
    Place,
    Settings,
    get_first,
    make_settings,
)
from hpc_connector.streams.stream import SegmentState, StreamState


class PravegaStream:
    """A stream in Pravega; see :class:`hpc_connector.streams.stream.Stream`."""

    def __init__(self, url: str, calls: Calls, scope: str, name: str) -> None:
        self.url, self.calls, self.scope, self.name = url, calls, scope, name
        self.parts = Parts(calls, scope, name)
        self.known: Settings | None = None
        self.writers: dict[int, PartWriter] = {}
        self.sealed: set[int] = set()

    @property
    def settings(self) -> Settings:
        """What the part without a segment says.

        Raises
        ------
        BadInput
            There is none.
        """
        self.known = self.known or self.read_settings()
        if self.known is None:
            raise refuse_missing(self.url)
        return self.known

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return self.settings.segments

    def read_settings(self) -> Settings | None:
        """Return what the part without a segment says, None if it is not there.

        Raises
        ------
        BadInput
            It is a stream of something else, events for one.
        """
        if self.name not in self.calls("list", self.scope, self.name):
            return None
        try:
            data = self.calls("read", self.scope, self.name, 0, PIECE_BYTES)
            settings = Settings(**json.loads(data)) if data else None
        except (BadInput, ValueError, TypeError) as error:
            raise BadInput(
                f"{self.url}: a stream of another program: expected one that was made "
                f"by hpc-connector streams create: {error}"
            ) from None
        return settings

    def create(self, n_segments: int = 1, *, roll_bytes: int = ROLL_BYTES) -> None:
        """Make the stream, whose parts have at most `roll_bytes`."""
        check_segments(n_segments, self.url)
        if not (found := self.read_settings()):
            settings = make_settings(n_segments, roll_bytes)
            self.calls("create_scope", self.scope)
            self.calls("create", self.scope, self.name)
            if not self.calls("begin", self.scope, self.name):
                data = json.dumps(asdict(settings)).encode()
                self.calls("append", self.scope, self.name, data)
            found = self.settings  # another may have been first
        check_segments(n_segments, self.url, found.segments)

    def append(
        self, segment: int, key: bytes, value: bytes, sequence: int | None = None
    ) -> Position:
        """Append a record; return its position."""
        return self.append_many(segment, [(key, value)], sequence)

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
        return wait_for_records(
            lambda: list(islice(self.parts.read_behind(segment, place), most_records)),
            lambda: self.is_sealed(segment),
            wait_s,
        )

    def tail(self, segment: int) -> Position:
        """Return the position of the last record."""
        self.name_segment(segment)
        return self.parts.find_last(segment, self.parts.list_names(segment)).write()

    def is_sealed(self, segment: int) -> bool:
        """Return whether a segment has ended."""
        self.name_segment(segment)
        if segment not in self.sealed:
            names = self.parts.list_names(segment)
            if names and self.parts.is_seal(names[-1]):
                self.sealed.add(segment)
        return segment in self.sealed

    def seal(self, segment: int | None = None) -> None:
        """End a segment, or all."""
        chosen = range(self.n_segments) if segment is None else [segment]
        for number in chosen:
            if not self.is_sealed(number):
                self.get_writer(number).seal()

    def retain(self, before: int | None = None, keep_bytes: int | None = None) -> int:
        """Delete whole parts, never the last of a segment; return how many bytes."""
        old = [
            part
            for segment in range(self.n_segments)
            for part in self.parts.list_old(segment)
        ]
        n_kept = sum(self.count_bytes(number) for number in range(self.n_segments))
        n_deleted = 0
        for time_ns, name, n_bytes in sorted(old):
            is_old = before is not None and time_ns < before
            is_over = keep_bytes is not None and n_kept - n_deleted > keep_bytes
            if is_old or is_over:
                self.parts.ask("delete", name)
                n_deleted += n_bytes
        return n_deleted

    def count_bytes(self, segment: int) -> int:
        """Return how many bytes there are of a segment."""
        return sum(map(self.parts.get_size, self.parts.list_names(segment)))

    def describe(self) -> StreamState:
        """Return what there is of each segment, but for the number of records."""
        segments = tuple(map(self.describe_segment, range(self.n_segments)))
        return StreamState(self.url, self.settings.created, segments)

    def describe_segment(self, segment: int) -> SegmentState:
        """Return what there is of a segment."""
        names = self.parts.list_names(segment)
        first = Place(get_first(names[0]) - 1, names[0]) if names else Place(-1)
        return SegmentState(
            segment,
            first.write(),
            self.parts.find_last(segment, names).write(),
            None,
            self.count_bytes(segment),
            self.is_sealed(segment),
        )

    def name_segment(self, segment: int) -> str:
        """Return the name of a segment for messages; refuse one that there is not."""
        return name_segment(self.url, segment, self.n_segments)

    def get_writer(self, segment: int) -> PartWriter:
        """Return the writer of a segment."""
        if segment not in self.writers:
            where = self.name_segment(segment)
            self.writers[segment] = PartWriter(
                self.parts, segment, where, self.settings.roll_bytes
            )
        return self.writers[segment]

    def close(self) -> None:
        """End the process that calls Pravega, which has all that was appended."""
        self.writers.clear()
        self.calls.kill()

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self.close()
