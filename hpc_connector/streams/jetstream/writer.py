"""Appending to a segment: a message is taken only behind the one it names.

One alone names the number of the message before it in its segment, so that a second
writer is refused. Behind it more are under way at once: each names the ID of the one
before it, in which the writer is, as the last of the stream. So its number is known
before it is taken, and if one is refused, all behind it are. (Numbers would not do:
what another writer appends between two of them has just the number that is expected.)
"""

import asyncio
import json
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from errno import ENOSPC
from typing import Any, NamedTuple

from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from hpc_connector.errors import BadInput, Later
from hpc_connector.streams.jetstream.connection import (
    BREAKS,
    PATIENCE_S,
    Connection,
)
from hpc_connector.streams.jetstream.messages import (
    BEHIND,
    ID,
    LAST_ID,
    LAST_NUMBER,
    WRITER,
    Given,
    Stored,
    make_id,
    make_message,
    measure_headers,
    read_headers,
)
from hpc_connector.streams.records import refuse_sealed

MOST_UNDER_WAY = 4096
FLUSHED = 64  # messages
ACKS_S = 10.0
WRONG_ID, WRONG_NUMBER, SEALED = 10070, 10071, 10109  # err_code of a refusal
NO_STREAM = 10059
FULL = (10023, 10047, 10077)  # resources, storage, a limit of the stream


class OtherWriter(BadInput):
    """Another writer has appended to a segment since this one took it."""


@dataclass
class Writer:
    """Who appends to a segment, and where it stands.

    Parameters
    ----------
    name
        Drawn for it.
    position, sequence
        Of the last message, and of the last record.
    last_id
        ID of the last message, if it was ours and seems the last of the stream, too.
    most
        Messages under way at once: one where other segments are written, too.
    is_new
        Whether it has appended nothing: then it may begin again behind what it sees.
    """

    segment: int
    name: str
    position: int
    sequence: int
    most: int = 1
    is_new: bool = True
    last_id: str = ""


class Message(NamedTuple):
    """A message, all but where it is to stand."""

    given: Given
    headers: dict[str, str]
    body: bytes


async def get_last(connection: Connection, stream: str, segment: int) -> Stored:
    """Return the last message of a segment."""
    try:
        found = await connection.keep_asking(
            lambda: connection.jetstream.get_last_msg(stream, f"{stream}.{segment}")
        )
    except NotFoundError as error:
        refuse_missing(connection, error)
        return Stored()
    return read_headers(found.headers, found.seq or 0, connection.where)


async def get_next(
    connection: Connection, stream: str, segment: int, position: int
) -> Stored | None:
    """Return the first message of a segment at a position or behind it."""
    try:
        found = await connection.keep_asking(
            lambda: connection.jetstream.get_msg(
                stream, seq=position, subject=f"{stream}.{segment}", next=True
            )
        )
    except NotFoundError as error:
        refuse_missing(connection, error)
        return None
    return read_headers(found.headers, found.seq or 0, connection.where)


def refuse_missing(connection: Connection, error: NotFoundError) -> None:
    """Tell a stream that has been deleted from a segment without messages."""
    if error.err_code == NO_STREAM:
        raise BadInput(f"{connection.where}: the stream is not there any more")


async def take_segment(connection: Connection, stream: str, segment: int) -> Writer:
    """Return a writer that goes on behind the last record of a segment."""
    last = await get_last(connection, stream, segment)
    check_open(connection, segment, last)
    assert last.sequence is not None
    return Writer(segment, secrets.token_hex(4), last.position, last.sequence)


def check_open(connection: Connection, segment: int, last: Stored) -> None:
    """Refuse to append to a segment that has ended."""
    if last.is_seal:
        raise refuse_sealed(f"{connection.where}: segment {segment}")


async def find_position(
    connection: Connection, stream: str, writer: Writer, sequence: int
) -> int:
    """Return the position of a record, by its sequence.

    Raises
    ------
    BadInput
        It is not there.
    """
    low, high = 1, writer.position
    at = max(low, high - (writer.sequence - sequence))  # where no other segment is
    while low <= high:
        found = await get_next(connection, stream, writer.segment, at)
        if found and found.sequence == sequence:
            return found.position
        if found is None or found.sequence is None or found.sequence > sequence:
            high = at - 1
        else:
            low = found.position + 1
        at = (low + high) // 2
    raise BadInput(
        f"{connection.where}: segment {writer.segment} has no sequence {sequence}: "
        f"expected one that is there, or more than {writer.sequence}, the last"
    )


def make_messages(connection: Connection, given: Sequence[Given]) -> list[Message]:
    """Return the messages of records.

    Raises
    ------
    BadInput
        One is longer than the server takes.
    """
    made = [Message(one, *make_message(one)) for one in given]
    for one in made:
        n = len(one.body) + measure_headers(one.headers) + 300  # of those to come
        if n > connection.client.max_payload:
            raise BadInput(
                f"{connection.where}: a record of {len(one.given.key)} bytes of key "
                f"and {len(one.given.value)} of value is a message of {n}: expected at "
                f"most {connection.client.max_payload}, max_payload of the server"
            )
    return made


async def publish(
    connection: Connection, stream: str, writer: Writer, given: Sequence[Given]
) -> None:
    """Append records in order, as fast as the server takes them.

    Raises
    ------
    OtherWriter
        Another writer has appended.
    BadInput
        The segment is sealed, or a record is longer than the server takes.
    OSError
        The server has no space left.
    Later
        It was away for too long. What was under way may have been appended.
    """
    todo = make_messages(connection, given)
    end_s = time.monotonic() + PATIENCE_S
    while todo:
        sent = todo[: writer.most]
        n = await send(connection, stream, writer, sent)
        todo = todo[n:]
        if n == len(sent):
            writer.most = min(2 * writer.most, MOST_UNDER_WAY)
        else:
            writer.most, writer.last_id = 1, ""
            todo = await look_again(connection, stream, writer, todo)
        if n:
            end_s = time.monotonic() + PATIENCE_S
        elif time.monotonic() > end_s:
            raise Later(f"{connection.where}: nothing is taken for {PATIENCE_S:.0f} s")


async def send(
    connection: Connection, stream: str, writer: Writer, messages: Sequence[Message]
) -> int:
    """Send messages; return how many were taken, the first of them, and move behind."""
    subject = f"{stream}.{writer.segment}"
    name = f"{socket.gethostname()}, process {os.getpid()}"

    async def send_all(reply: str) -> None:
        last_id = writer.last_id if len(messages) > 1 else ""
        for k, one in enumerate(messages):
            own_id = make_id(writer.segment, one.given, writer.name)
            behind = str(writer.position + k)
            place = {LAST_ID: last_id} if last_id else {LAST_NUMBER: behind}
            own = {ID: own_id, BEHIND: behind, WRITER: name}
            await connection.client.publish(
                subject, one.body, f"{reply}.{k}", one.headers | own | place
            )
            last_id = own_id
            if k % FLUSHED == 0:
                await asyncio.sleep(0)  # the server works while we write

    try:
        answers = await connection.inbox.ask(
            send_all, lambda found: len(found) == len(messages), ACKS_S
        )
    except BREAKS:
        return 0  # some may have been taken
    return move_behind(connection, writer, messages, answers)


def move_behind(
    connection: Connection,
    writer: Writer,
    messages: Sequence[Message],
    answers: Sequence[Msg],
) -> int:
    """Move a writer behind the messages that were taken; return how many."""
    said = {int(one.subject.rpartition(".")[2]): read_answer(one) for one in answers}
    for k, one in enumerate(messages):
        if not (position := read_ack(connection, said[k])):
            return k
        writer.position, writer.is_new = position, False
        writer.last_id = make_id(writer.segment, one.given, writer.name)
        if one.given.sequence is not None:
            writer.sequence = one.given.sequence
    return len(messages)


def read_answer(message: Msg) -> dict[str, Any]:
    """Return what a server says to a message; nothing if nobody is there to say it."""
    said: dict[str, Any] = json.loads(message.data) if message.data else {}
    return said


def read_ack(connection: Connection, said: dict[str, Any]) -> int:
    """Return the position of a message that was taken, 0 of one that was not."""
    error = said.get("error", {})
    code = error.get("err_code")
    if code in FULL:
        raise OSError(ENOSPC, error.get("description"), connection.where)
    if error and code not in (WRONG_ID, WRONG_NUMBER, SEALED):
        raise BadInput(
            f"{connection.where}: refused by the server: {error.get('description')}"
        )
    return 0 if error or said.get("duplicate") else int(said.get("seq", 0))


async def look_again(
    connection: Connection, stream: str, writer: Writer, todo: list[Message]
) -> list[Message]:
    """Return what is still to be sent, by what is there, and move behind that."""
    last = await get_last(connection, stream, writer.segment)
    if last.position == writer.position:
        return todo
    check_open(connection, writer.segment, last)
    assert last.sequence is not None
    if last.writer != writer.name:
        raise OtherWriter(
            f"{connection.where}: segment {writer.segment} is written by {last.name}, "
            f"which appended sequence {last.sequence}: expected one writer a segment"
        )
    writer.position, writer.sequence = last.position, last.sequence
    writer.is_new = False
    sent = [one.given.sequence for one in todo]
    return todo[sent.index(last.sequence) + 1 :] if last.sequence in sent else todo
