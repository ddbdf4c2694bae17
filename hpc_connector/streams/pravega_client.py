"""The calls of Pravega's Python client that word counts use, over any of our streams.

``from hpc_connector.streams import pravega_client`` instead of ``import
pravega_client``, and the endpoint is all that changes: ``file:///folder``,
``nats://host:4222``, ``pravega://host:9090``; with ``tcp://host:9090`` it is Pravega's
own client.

A group of readers is in the process that made it. It is not kept when that dies, and
then neither is what was computed: who comes next reads all.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.storage.address import get_scheme, split_server
from hpc_connector.streams.bytestream.calls import check_client, probe
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.pravega import PORT
from hpc_connector.streams.records import START, Position, Record, segment_of
from hpc_connector.streams.stream import Stream

MOST_RECORDS = 4096  # of a slice
SILENCE_S, POLL_S = 2.0, 0.05


def StreamManager(uri: str) -> Any:
    """Return what makes streams, writers and readers at an endpoint.

    Raises
    ------
    BadInput
        Pravega is named, and its client is missing, or its controller does not answer.
    """
    if get_scheme(uri) not in ("tcp", "tls"):
        return Streams(uri)
    if (server := split_server(uri, PORT)) is None:
        raise BadInput(f"{uri}: no controller of Pravega: expected tcp://host:{PORT}")
    check_client(uri)
    import pravega_client

    probe(*server[:2], uri)  # or it waits for a minute
    return pravega_client.StreamManager(uri)


class Streams:
    """The streams below a URL."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    def open(self, scope: str, stream: str) -> Stream:
        """Return a stream; those of NATS have one name, in capitals."""
        if get_scheme(self.uri) == "nats":
            name = re.sub("[^A-Z0-9_]", "_", f"{scope}_{stream}".upper())
            return open_stream(f"{self.uri}/{name}")
        return open_stream(f"{self.uri}/{scope}/{stream}")

    def create_scope(self, scope: str) -> bool:
        """Return that a scope can be used: it is a part of the names of streams."""
        return True

    def create_stream(self, scope: str, stream: str, initial_segments: int) -> bool:
        """Make a stream; it may be there with as many segments."""
        with self.open(scope, stream) as made:
            made.create(initial_segments)
        return True

    def seal_stream(self, scope: str, stream: str) -> bool:
        """End a stream."""
        with self.open(scope, stream) as ended:
            ended.seal()
        return True

    def create_writer(self, scope: str, stream: str) -> "Writer":
        """Return what writes to a stream, which no other may do."""
        return Writer(self.open(scope, stream))

    def create_reader_group(self, name: str, scope: str, stream: str) -> "ReaderGroup":
        """Return readers that begin where the stream does."""
        return ReaderGroup(self.open(scope, stream))


class Writer:
    """What writes events to a stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def write_event(self, event: str, routing_key: str | None = None) -> None:
        """Append text; that of one key, or the same text, keeps its order."""
        self.write_event_bytes(event.encode(), routing_key)

    def write_event_bytes(self, event: bytes, routing_key: str | None = None) -> None:
        """Append bytes."""
        key = b"" if routing_key is None else routing_key.encode()
        segment = segment_of(key or event, self.stream.n_segments)
        self.stream.append(segment, key, event)

    def flush(self) -> None:
        """Let the stream go; what was written is there anyway."""
        self.stream.close()


class Event(NamedTuple):
    """What was written."""

    record: Record

    def data(self) -> bytes:
        """Return its bytes."""
        return self.record.value


class Slice:
    """Events of one segment, each of which is given once; none at the end."""

    def __init__(self, segment: int = -1, records: Iterable[Record] = ()) -> None:
        self.segment = segment
        self.records = iter(records)
        self.position: Position | None = None  # of the last event that was given

    def __iter__(self) -> Iterator[Event]:
        """Give the events that were not given."""
        for record in self.records:
            self.position = record.position
            yield Event(record)


class ReaderGroup:
    """Readers that share the segments of a stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.positions: dict[int, Position] = {}
        self.held: set[int] = set()  # segments that a reader has a slice of

    def create_reader(self, name: str) -> "Reader":
        """Return a reader."""
        return Reader(self)


class Reader:
    """What gives slices of a stream."""

    def __init__(self, group: ReaderGroup) -> None:
        self.group = group

    async def get_segment_slice_async(self) -> Slice:
        """Return the next events of a segment that no reader has a slice of.

        There are none if all segments are sealed and read, or no event came for 2 s.
        """
        end_s = time.monotonic() + SILENCE_S
        while True:
            found, is_end = self.look()
            if found is not None or is_end or time.monotonic() > end_s:
                return found or Slice()
            await asyncio.sleep(POLL_S)

    def look(self) -> tuple[Slice | None, bool]:
        """Return a slice if there is one, and whether none can come any more."""
        stream, is_end = self.group.stream, True
        for segment in range(stream.n_segments):
            if segment in self.group.held:
                is_end = False
                continue
            is_sealed = stream.is_sealed(segment)  # before the read: then it was all
            place = self.group.positions.get(segment, START)
            if records := stream.read(segment, place, most_records=MOST_RECORDS):
                self.group.held.add(segment)
                return Slice(segment, records), False
            is_end = is_end and is_sealed
        return None, is_end

    def release_segment(self, part: Slice) -> None:
        """Have what a slice has given not given again, and the rest to who asks."""
        if part.position is not None:
            self.group.positions[part.segment] = part.position
        self.group.held.discard(part.segment)

    def reader_offline(self) -> None:
        """End reading."""
        self.group.stream.close()
