"""Which messages of a stream are old: found by time, or counted by their bytes."""

from datetime import UTC, datetime, timedelta

from nats.js import api

from hpc_connector.streams.jetstream.connection import Broken, Connection
from hpc_connector.streams.jetstream.messages import (
    Headers,
    measure_headers,
    read_reply,
)
from hpc_connector.streams.jetstream.reader import Reader, end, request

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_AT_ONCE = 512
SIZE = "Nats-Msg-Size"
STORED_BYTES = 34  # beside subject, headers and body, in a file of the server


async def find_since(
    connection: Connection, stream: str, segment: int, time_ns: int
) -> int:
    """Return the position of the first message of a segment since a time, 0 if none."""
    since = EPOCH + timedelta(microseconds=time_ns // 1000)
    reader = await begin_headers(connection, stream, f"{stream}.{segment}", since)
    found = []
    if reader.n_behind:
        found = await request(connection, stream, reader, 1, 0.0)
        if not found:
            raise Broken("a message is there, and does not come")
    await end(connection, stream, reader)
    return read_reply(found[0].reply)[0] if found else 0


async def begin_headers(
    connection: Connection, stream: str, subject: str, since: datetime | None = None
) -> Reader:
    """Have the server make a consumer that gives no bodies, of all or since a time."""
    policy = api.DeliverPolicy
    name = connection.client.new_inbox().rpartition(".")[2]
    made = await connection.jetstream.add_consumer(
        stream,
        api.ConsumerConfig(
            name=name,
            filter_subject=subject,
            headers_only=True,
            ack_policy=api.AckPolicy.NONE,
            mem_storage=True,
            inactive_threshold=60.0,
            deliver_policy=policy.BY_START_TIME if since else policy.ALL,
            opt_start_time=since,
        ),
    )
    return Reader(0, 0, name, made.num_pending or 0)


async def find_oldest(
    connection: Connection, stream: str, n_bytes: int
) -> dict[int, int]:
    """Return the positions of the last of the oldest messages, by segment.

    Parameters
    ----------
    n_bytes
        That they have together, at least, as the server stores them.
    """
    reader = await begin_headers(connection, stream, f"{stream}.*")
    last: dict[int, int] = {}
    while n_bytes > 0 and reader.n_behind > 0:
        n = min(reader.n_behind, MOST_AT_ONCE)
        found = await request(connection, stream, reader, n, 0.0)
        reader.n_behind -= len(found)
        for message in found:
            if n_bytes <= 0:
                break
            segment = int(message.subject.rpartition(".")[2])
            last[segment] = read_reply(message.reply)[0]
            n_bytes -= measure_stored(message.subject, message.headers or {})
    await end(connection, stream, reader)
    return last


def measure_stored(subject: str, headers: Headers) -> int:
    """Return the bytes of a message in a file of the server."""
    own = {name: value for name, value in headers.items() if name != SIZE}
    body = int(headers.get(SIZE, 0))
    return STORED_BYTES + len(subject) + measure_headers(own) + body


async def delete_before(
    connection: Connection, stream: str, segment: int, position: int
) -> None:
    """Delete the messages of a segment before a position."""
    await connection.keep_asking(
        lambda: connection.jetstream.purge_stream(
            stream, seq=position, subject=f"{stream}.{segment}"
        )
    )
