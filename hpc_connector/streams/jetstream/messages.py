"""Records as messages of NATS: their headers, and what a stored one says."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.streams.records import START, Position, Record

Headers = Mapping[str, str]
MOST_HEADER_KEY = 32_768  # bytes of a key: all headers together have at most 64 KiB
ID, SEQUENCE, KEY, KEY_BYTES = "Nats-Msg-Id", "Seq", "Key", "Key-Bytes"
SEALED, WRITER, BEHIND = "Sealed", "Writer", "Behind"
DIGITS = 18  # of a number of the server, which has 64 bits
LAST_NUMBER = "Nats-Expected-Last-Subject-Sequence"  # of the segment
LAST_ID = "Nats-Expected-Last-Msg-Id"  # of the stream


class Given(NamedTuple):
    """A record to append; the seal of a segment has no sequence."""

    sequence: int | None
    key: bytes = b""
    value: bytes = b""


@dataclass(frozen=True)
class Stored:
    """What the headers of a message say.

    Parameters
    ----------
    position
        Its number in the stream; 0 is that of none.
    behind
        Position of the message before it in its segment.
    sequence
        Of its record; of a seal, None; -1 of none.
    writer
        A number drawn by who wrote it.
    name
        Host and process of the writer, for people.
    """

    position: int = 0
    behind: int = 0
    sequence: int | None = -1
    writer: str = ""
    name: str = ""

    @property
    def is_seal(self) -> bool:
        """Return whether it ends its segment."""
        return self.sequence is None

    @property
    def record(self) -> int:
        """Return the position of the last record up to here, 0 if there is none."""
        return self.behind if self.is_seal else self.position


def make_id(segment: int, given: Given, writer: str) -> str:
    """Return the ID of a message, which no other has."""
    what = "sealed" if given.sequence is None else str(given.sequence)
    return f"{segment}-{what}-{writer}"


def make_message(given: Given) -> tuple[dict[str, str], bytes]:
    """Return the headers and body of a record, but for where it is to stand."""
    if given.sequence is None:
        return {SEALED: "1"}, b""
    headers = {SEQUENCE: str(given.sequence)}
    if len(given.key) > MOST_HEADER_KEY:
        return headers | {KEY_BYTES: str(len(given.key))}, given.key + given.value
    if given.key:
        headers[KEY] = base64.b64encode(given.key).decode()
    return headers, given.value


def measure_headers(headers: Headers) -> int:
    """Return the bytes that headers take in a message."""
    return 12 + sum(len(name) + len(value) + 4 for name, value in headers.items())


def read_headers(headers: Headers | None, position: int, where: str) -> Stored:
    """Return what the headers of a message say.

    Raises
    ------
    BadInput
        It is none of ours.
    """
    found = headers or {}
    try:
        return Stored(
            position,
            int(found[BEHIND]),
            None if SEALED in found else int(found[SEQUENCE]),
            found[ID].rpartition("-")[2],
            found.get(WRITER, ""),
        )
    except (KeyError, ValueError):
        raise BadInput(
            f"{where}: message {position} is no record: expected headers {ID}, "
            f"{SEQUENCE} and {BEHIND}"
        ) from None


def read_record(
    segment: int, stored: Stored, headers: Headers, body: bytes, time_ns: int
) -> Record:
    """Return the record in a message that is no seal."""
    assert stored.sequence is not None
    n_bytes = int(headers.get(KEY_BYTES, 0))
    key = body[:n_bytes] or base64.b64decode(headers.get(KEY, ""))
    place = str(stored.position)
    return Record(segment, place, stored.sequence, key, body[n_bytes:], time_ns)


def read_reply(reply: str) -> tuple[int, int, int]:
    """Return the position of a message, its time in ns, and how many are behind it.

    It is in the subject of the acknowledgement, which older servers write without
    domain and account.

    Examples
    --------
    >>> read_reply("$JS.ACK.T.reader.1.57.3.1790000000000000001.4")
    (57, 1790000000000000001, 4)
    """
    words = reply.split(".")
    at = 5 if len(words) == 9 else 7
    return int(words[at]), int(words[at + 2]), int(words[at + 3])


def make_position(number: int) -> Position:
    """Return the position of a message, START for none."""
    return str(number) if number else START


def read_position(position: Position, where: str) -> int:
    """Return the number of a message at a position."""
    if position == START:
        return 0
    if not (position.isascii() and position.isdigit()) or len(position) > DIGITS:
        raise BadInput(
            f"{where}: position {position!r}: expected a number, as a record has it"
        )
    return int(position)
