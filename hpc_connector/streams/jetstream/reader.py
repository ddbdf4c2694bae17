"""Reading a segment in order, by a consumer that the server forgets.

It is made for a position and never acknowledges: positions are kept by who reads. Each
message names the one before it in its segment, so that none is missed or read twice.
"""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nats import errors
from nats.aio.msg import Msg
from nats.js import api

from hpc_connector.errors import BadInput
from hpc_connector.streams.jetstream.connection import (
    ANSWERS_S,
    BREAKS,
    Broken,
    Connection,
)
from hpc_connector.streams.jetstream.messages import (
    Stored,
    make_position,
    read_headers,
    read_record,
    read_reply,
)
from hpc_connector.streams.records import Record

MOST_AT_ONCE = 1024
WAITS_S = 5.0  # of a request; then the server is asked again
NOTHING, EXPIRED = "404", "408"
FORGETS_S, IDLE_S = 300.0, 100.0  # a consumer, by the server; and we, before that


@dataclass
class Reader:
    """Who reads a segment, and where it stands.

    Parameters
    ----------
    consumer
        Its name at the server, empty if there is none.
    position
        Of the last message that was read.
    n_behind
        Messages behind that, as the server last said.
    used_s
        When the consumer was last used, of ``time.monotonic()``.
    """

    segment: int
    position: int
    consumer: str = ""
    n_behind: int = 0
    used_s: float = 0.0
    is_sealed: bool = False


async def read(
    connection: Connection, stream: str, reader: Reader, most: int, wait_s: float
) -> list[Record]:
    """Return the records behind a reader, at most so many, and move behind them.

    It waits for the first of them only, and not behind a seal.
    """
    end_s = time.monotonic() + wait_s
    records: list[Record] = []
    while len(records) < most and not reader.is_sealed:
        left_s = 0.0 if records else max(end_s - time.monotonic(), 0.0)
        found, n = await pull(connection, stream, reader, most - len(records), left_s)
        records += take(connection, reader, found)
        is_over = bool(records) or (n == 0 and time.monotonic() >= end_s)
        if is_over and reader.n_behind == 0:
            break
    return records


async def pull(
    connection: Connection, stream: str, reader: Reader, most: int, wait_s: float
) -> tuple[list[Msg], int]:
    """Return the next messages, through breaks, and how many were known of.

    Where none was known of, it is one, or none after a while.
    """

    async def ask() -> tuple[list[Msg], int]:
        if not reader.consumer or time.monotonic() > reader.used_s + IDLE_S:
            await begin(connection, stream, reader)
        n = min(reader.n_behind, most, MOST_AT_ONCE)
        try:
            return await request(connection, stream, reader, n, wait_s), n
        except BREAKS:
            reader.consumer = ""  # it may be gone, or have gone on
            raise

    return await connection.keep_asking(ask)


async def begin(connection: Connection, stream: str, reader: Reader) -> None:
    """Have the server make a consumer that begins behind a reader's position."""
    await end(connection, stream, reader)
    name = connection.client.new_inbox().rpartition(".")[2]
    made = await connection.jetstream.add_consumer(
        stream,
        api.ConsumerConfig(
            name=name,
            filter_subject=f"{stream}.{reader.segment}",
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=reader.position + 1,
            ack_policy=api.AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=FORGETS_S,
        ),
    )
    reader.consumer, reader.n_behind = name, made.num_pending or 0
    reader.used_s = time.monotonic()


async def request(
    connection: Connection, stream: str, reader: Reader, n: int, wait_s: float
) -> list[Msg]:
    """Ask for messages once, and return them.

    Parameters
    ----------
    n
        That are there: so many come. 0 if none is known of: one comes, or none.
    """
    waits_s = ANSWERS_S if n else min(wait_s, WAITS_S)
    asked: dict[str, int | bool] = {"batch": n or 1}
    if waits_s:
        asked["expires"] = int(waits_s * 1e9)
    else:
        asked["no_wait"] = True
    subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{reader.consumer}"

    async def send(reply: str) -> None:
        await connection.client.publish(subject, json.dumps(asked).encode(), reply)

    def is_enough(found: Sequence[Msg]) -> bool:
        return len(found) == asked["batch"] or not found[-1].reply

    found = await connection.inbox.ask(
        send, is_enough, waits_s + ANSWERS_S, reader.consumer
    )
    reader.used_s = time.monotonic()
    if found[-1].reply:
        return found
    reader.n_behind = 0
    status = (found[-1].headers or {}).get("Status")
    if status not in (NOTHING, EXPIRED):  # the consumer has gone, or will
        raise Broken(f"a reader was ended with status {status}")
    return found[:-1]


def take(connection: Connection, reader: Reader, found: Sequence[Msg]) -> list[Record]:
    """Return the records in messages, and move the reader behind them.

    Raises
    ------
    BadInput
        A message between is missing, or the position was none of the segment.
    """
    records = []
    for message in found:
        position, time_ns, reader.n_behind = read_reply(message.reply)
        stored = read_headers(message.headers, position, connection.where)
        check_order(connection, reader, stored)
        reader.position = position
        if stored.is_seal:
            reader.is_sealed = True
        else:
            headers = message.headers or {}
            records.append(
                read_record(reader.segment, stored, headers, message.data, time_ns)
            )
    return records


def check_order(connection: Connection, reader: Reader, stored: Stored) -> None:
    """Refuse a message that is not the one behind a reader's."""
    if stored.behind == reader.position:
        return
    where = f"{connection.where}: segment {reader.segment}"
    if stored.behind > reader.position:
        raise BadInput(
            f"{where}: the records behind position {make_position(reader.position)} "
            f"were deleted: expected {stored.behind}, from where the first kept one is "
            "read"
        )
    refuse_position(connection, reader)


def refuse_position(connection: Connection, reader: Reader) -> None:
    """Refuse a position that is none of a segment."""
    raise BadInput(
        f"{connection.where}: segment {reader.segment}: position {reader.position} is "
        "none of it: expected that of a record"
    )


async def end(connection: Connection, stream: str, reader: Reader) -> None:
    """Have the server forget a consumer; if it is away, it does so by itself."""
    name, reader.consumer = reader.consumer, ""
    if name and connection.client.is_connected:
        with contextlib.suppress(errors.Error, OSError):
            await connection.jetstream.delete_consumer(stream, name)
