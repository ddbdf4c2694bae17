"""A stream in JetStream: a segment is a subject, a record is a message.

========  ===========================================================================
stream    its name, in capitals; subjects NAME.0, NAME.1, ..., one a segment
message   body: the value. Headers: Nats-Msg-Id (segment, sequence, writer), Seq, Key
          (base64), Behind (position of the one before it in its segment) and Writer
          (host and process, for people)
position  number of the message in the stream
seal      a last message with the header Sealed: 1; when all segments have theirs, the
          stream is configured as sealed
========  ===========================================================================

A key too long for a header stands before the value, and Key-Bytes says where it ends.
"""

import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from nats.js import api
from nats.js.errors import BadRequestError, NotFoundError

from hpc_connector.errors import BadInput
from hpc_connector.streams.jetstream import reader as reading
from hpc_connector.streams.jetstream import retention
from hpc_connector.streams.jetstream import writer as writing
from hpc_connector.streams.jetstream.connection import Connection
from hpc_connector.streams.jetstream.messages import (
    Given,
    Stored,
    make_position,
    read_position,
)
from hpc_connector.streams.jetstream.profile import Profile
from hpc_connector.streams.jetstream.reader import Reader
from hpc_connector.streams.jetstream.writer import OtherWriter, Writer
from hpc_connector.streams.records import (
    END,
    START,
    Position,
    Record,
    check_most,
    check_record,
    check_segments,
    check_sequence,
    name_segment,
)
from hpc_connector.streams.stream import SegmentState, StreamState

T = TypeVar("T")
DUPLICATES_S = 120.0
TRIES = 5  # to begin as the writer of a segment
WINDOW_RECORDS, WINDOW_BYTES = 4096, 16 << 20  # appended by one call


class NatsStream:
    """A stream of :mod:`hpc_connector.streams.stream` at a server of NATS.

    Parameters
    ----------
    url
        For messages.
    name
        Of the stream at the server.
    """

    def __init__(
        self, url: str, host: str, port: int, name: str, profile: Profile
    ) -> None:
        self.url, self._name = url, name
        self._address = (host, port, profile)
        self._opened: Connection | None = None
        self._n_segments = 0
        self._writers: dict[int, Writer] = {}
        self._readers: dict[int, tuple[Position, Reader]] = {}
        self._sealed: set[int] = set()

    @property
    def _connection(self) -> Connection:
        if self._opened is None:
            self._opened = Connection(self.url, *self._address)
        return self._opened

    def _run(
        self, work: Callable[..., Coroutine[Any, Any, T]], *given: Any, **more: Any
    ) -> T:
        return self._connection.run(work(*given, **more))

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        if not self._n_segments:
            info = self._run(self._take_info)
            self._n_segments = self._count_segments(info)
        return self._n_segments

    async def _get_info(self, **more: Any) -> api.StreamInfo | None:
        """Return what the server says of the stream, None if it is not there."""
        connection = self._connection
        try:
            return await connection.keep_asking(
                lambda: connection.jetstream.stream_info(self._name, **more)
            )
        except NotFoundError:
            return None

    async def _take_info(self, **more: Any) -> api.StreamInfo:
        """Return what the server says of the stream.

        Raises
        ------
        BadInput
            It is not there, or no more.
        """
        info = await self._get_info(**more)
        if info is None:
            raise BadInput(
                f"{self.url}: no such stream: expected one that hpc-connector streams "
                "create has made"
            )
        return info

    def _count_segments(self, info: api.StreamInfo) -> int:
        """Return the number of segments of a stream that is one of ours."""
        subjects = info.config.subjects or []
        if subjects != self._list_subjects(len(subjects)) or not subjects:
            raise BadInput(
                f"{self.url}: a stream with subjects {', '.join(subjects[:3])}: "
                f"expected {self._name}.0, {self._name}.1, ..."
            )
        return len(subjects)

    def _list_subjects(self, n_segments: int) -> list[str]:
        return [f"{self._name}.{segment}" for segment in range(n_segments)]

    def create(self, n_segments: int = 1) -> None:
        """Make the stream; nothing is done if it is there with as many segments."""
        check_segments(n_segments, self.url)
        if self._run(self._get_info) is None:
            self._run(self._add, n_segments)
        check_segments(n_segments, self.url, self.n_segments)

    async def _add(self, n_segments: int) -> None:
        """Add the stream, unless another does so at the same time."""
        config = api.StreamConfig(
            name=self._name,
            subjects=self._list_subjects(n_segments),
            storage=api.StorageType.FILE,
            duplicate_window=DUPLICATES_S,
        )
        jetstream = self._connection.jetstream
        try:
            await self._connection.keep_asking(lambda: jetstream.add_stream(config))
        except BadRequestError as error:
            if await self._get_info() is None:
                raise BadInput(f"{self.url}: {error.description}") from None

    def _name_segment(self, segment: int) -> str:
        """Return the name of a segment for messages; refuse one that there is not."""
        return name_segment(self.url, segment, self.n_segments)

    def append(
        self, segment: int, key: bytes, value: bytes, sequence: int | None = None
    ) -> Position:
        """Append a record, and return its position once the server has it."""
        return self.append_many(segment, [(key, value)], sequence)

    def append_many(
        self,
        segment: int,
        records: Iterable[tuple[bytes, bytes]],
        sequence: int | None = None,
    ) -> Position:
        """Append records, many under way at once; return the position of the last."""
        self._name_segment(segment)
        position: Position | None = None
        for window in self._cut(records):
            position = self._run(self._append_first, segment, window, sequence)
            sequence = None if sequence is None else sequence + len(window)
        return self.tail(segment) if position is None else position

    def _cut(
        self, records: Iterable[tuple[bytes, bytes]]
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        """Give records in lists, each for one call."""
        window: list[tuple[bytes, bytes]] = []
        n_bytes = 0
        for key, value in records:
            check_record(key, value, self.url)
            window.append((key, value))
            n_bytes += len(key) + len(value)
            if len(window) == WINDOW_RECORDS or n_bytes >= WINDOW_BYTES:
                yield window
                window, n_bytes = [], 0
        if window:
            yield window

    async def _append_first(
        self, segment: int, records: list[tuple[bytes, bytes]], sequence: int | None
    ) -> Position:
        """Append as a writer that begins again if it was not the first to append.

        What another sent may arrive after that has died.
        """
        for _ in range(TRIES):
            with contextlib.suppress(OtherWriter):
                return await self._append(segment, records, sequence)
            if not self._writers[segment].is_new:
                break
            del self._writers[segment]
        return await self._append(segment, records, sequence)

    async def _append(
        self, segment: int, records: list[tuple[bytes, bytes]], sequence: int | None
    ) -> Position:
        """Append the records that are not there; return the position of the last."""
        writer = await self._take(segment)
        first = writer.sequence + 1 if sequence is None else sequence
        if first > writer.sequence:
            check_sequence(first + len(records) - 1, f"{self.url}: segment {segment}")
        given = [Given(first + k, *record) for k, record in enumerate(records)]
        n_there = min(max(writer.sequence + 1 - first, 0), len(given))
        position = 0
        for k in range(n_there):
            position = await writing.find_position(
                self._connection, self._name, writer, first + k
            )
        if given[n_there:]:
            await self._publish(writer, given[n_there:])
            position = writer.position
        return make_position(position)

    async def _take(self, segment: int) -> Writer:
        """Return the writer of a segment."""
        if segment not in self._writers:
            self._writers[segment] = await writing.take_segment(
                self._connection, self._name, segment
            )
        return self._writers[segment]

    async def _publish(self, writer: Writer, given: Sequence[Given]) -> None:
        """Append; a writer that does not know what was appended is one no more."""
        try:
            await writing.publish(self._connection, self._name, writer, given)
        except BadInput:
            raise
        except BaseException:
            del self._writers[writer.segment]
            raise

    def read(
        self,
        segment: int,
        position: Position = START,
        *,
        most_records: int,
        wait_s: float = 0.0,
    ) -> list[Record]:
        """Return the records behind a position, in order, as many as there are."""
        check_most(most_records, self._name_segment(segment))
        return self._run(self._read, segment, position, most_records, wait_s)

    async def _read(
        self, segment: int, position: Position, most: int, wait_s: float
    ) -> list[Record]:
        """Read on with the reader that stands there, or with a new one."""
        stands, reader = self._readers.pop(segment, ("", None))
        if reader is None or stands != position:
            if reader:
                await reading.end(self._connection, self._name, reader)
            reader = Reader(segment, await self._find_start(segment, position))
        records = await reading.read(self._connection, self._name, reader, most, wait_s)
        if not records and stands != position:
            last = await self._get_last(segment)
            if last.position < reader.position:
                reading.refuse_position(self._connection, reader)
        if reader.is_sealed:
            self._sealed.add(segment)
        stands = records[-1].position if records else position
        self._readers[segment] = (stands, reader)
        return records

    async def _find_start(self, segment: int, position: Position) -> int:
        """Return the number of the message behind which is read."""
        if position == END:
            return (await self._get_last(segment)).record
        return read_position(position, f"{self.url}: segment {segment}")

    async def _get_last(self, segment: int) -> Stored:
        """Return the last message of a segment."""
        return await writing.get_last(self._connection, self._name, segment)

    def tail(self, segment: int) -> Position:
        """Return the position of the last record."""
        self._name_segment(segment)
        last = self._run(self._get_last, segment)
        return make_position(last.record)

    def is_sealed(self, segment: int) -> bool:
        """Return whether nothing can be appended to a segment any more."""
        self._name_segment(segment)
        if segment not in self._sealed and self._run(self._get_last, segment).is_seal:
            self._sealed.add(segment)
        return segment in self._sealed

    def seal(self, segment: int | None = None) -> None:
        """End a segment, or all; when all have ended, the server takes nothing more."""
        if segment is not None:
            self._name_segment(segment)
        for one in range(self.n_segments) if segment is None else [segment]:
            if not self.is_sealed(one):
                self._run(self._seal, one)
        if all(self.is_sealed(one) for one in range(self.n_segments)):
            self._run(self._seal_all)

    async def _seal(self, segment: int) -> None:
        """Append the seal of a segment."""
        await self._publish(await self._take(segment), [Given(None)])
        del self._writers[segment]

    async def _seal_all(self) -> None:
        """Have the server refuse whatever is published, or to be deleted."""
        info = await self._take_info()
        if not info.config.sealed:
            config = info.config.evolve(sealed=True)
            jetstream = self._connection.jetstream
            await self._connection.keep_asking(lambda: jetstream.update_stream(config))

    def retain(self, before: int | None = None, keep_bytes: int | None = None) -> int:
        """Delete old records, never the last one of a segment; return how many bytes.

        Raises
        ------
        BadInput
            The stream is sealed: the server deletes nothing of one.
        """
        _ = self.n_segments
        return self._run(self._retain, before, keep_bytes)

    async def _retain(self, before: int | None, keep_bytes: int | None) -> int:
        """Delete what is before a time, and then what is too much."""
        connection, name = self._connection, self._name
        n_bytes = await self._measure()
        if before is not None:
            for segment in range(self._n_segments):
                find = partial(retention.find_since, connection, name, segment, before)
                await self._delete(segment, await connection.keep_asking(find))
        if keep_bytes is not None:
            excess = await self._measure() - keep_bytes
            find_all = partial(retention.find_oldest, connection, name, excess)
            oldest = await connection.keep_asking(find_all)
            for segment, position in oldest.items():
                await self._delete(segment, position + 1)
        return n_bytes - await self._measure()

    async def _measure(self) -> int:
        """Return the bytes of the stream; of one that is sealed none can be deleted."""
        info = await self._take_info()
        if info.config.sealed:
            raise BadInput(
                f"{self.url} is sealed: a server of NATS deletes no records of it, "
                "expected to delete the whole stream there"
            )
        return info.state.bytes

    async def _delete(self, segment: int, position: int) -> None:
        """Delete what is before a position, 0 for all, but the last record.

        A server that is asked to delete what is before number 1 deletes all.
        """
        last = (await self._get_last(segment)).record
        first = await writing.get_next(self._connection, self._name, segment, 1)
        until = min(position or last, last)
        if first and until > first.position:
            await retention.delete_before(self._connection, self._name, segment, until)

    def describe(self) -> StreamState:
        """Return what there is."""
        numbers = range(self.n_segments)
        info = self._run(self._take_info, subjects_filter=f"{self._name}.*")
        counts = info.state.subjects or {}
        segments = [
            self._run(self._describe, one, counts.get(f"{self._name}.{one}", 0))
            for one in numbers
        ]
        created = info.created.isoformat(timespec="seconds") if info.created else ""
        return StreamState(self.url, created, tuple(segments))

    async def _describe(self, segment: int, n_messages: int) -> SegmentState:
        """Return what there is of a segment."""
        last = await self._get_last(segment)
        first = await writing.get_next(self._connection, self._name, segment, 1)
        return SegmentState(
            segment,
            make_position(first.behind if first else 0),
            make_position(last.record),
            n_messages - last.is_seal,
            None,
            last.is_seal,
        )

    def close(self) -> None:
        """Close the connection; readers at the server are forgotten."""
        if self._opened is not None:
            for _, reader in self._readers.values():
                self._run(reading.end, self._opened, self._name, reader)
            self._opened.close()
        self._opened = None
        self._writers, self._readers = {}, {}

    def __enter__(self) -> Self:
        """Return the stream, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self.close()
