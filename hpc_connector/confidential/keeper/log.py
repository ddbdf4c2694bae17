"""The log of a keeper: a line of JSON an event, chained to the one before, and signed.

Whoever changes, drops or moves a line breaks the chain at that line. What is cut off at
the end shows against a checkpoint alone, which lies in another file.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hpc_connector.confidential.chain import (
    FIRST,
    append_line,
    get_time,
    hash_line,
    read_last,
)
from hpc_connector.confidential.keeper.messages import decode, encode
from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from hpc_connector.text import pack_json

LINE, CHECKPOINT = b"hpc_connector log v1\0", b"hpc_connector checkpoint v1\0"
EVERY = 100  # events a checkpoint
EVENTS = frozenset(
    ("login", "grant", "bind", "release", "refuse", "add", "revoke", "start", "stop")
)
FIELDS = ("actor", "uid", "job", "grant", "objects", "level", "reason")


@dataclass(frozen=True)
class LogPlace:
    """Where a log is written, by which key it is signed, and what it may say.

    Parameters
    ----------
    events, fields
        That a line may have; those of a keeper unless it is the log of another.
    """

    path: Path
    checkpoints: Path
    key: Ed25519PrivateKey
    events: frozenset[str] = EVENTS
    fields: tuple[str, ...] = FIELDS


def name_public(path: Path) -> Path:
    """Return the path of the public key of a log, beside it."""
    return path.with_name(f"{path.name}.pub.pem")


def save_public(place: LogPlace) -> None:
    """Write the public key of a log beside it, if it is not there.

    Raises
    ------
    BadInput
        That of another key is: what this one signs would not hold in that log.
    """
    key = place.key.public_key()
    public = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path = name_public(place.path)
    if not path.exists():
        with publish(path, "open") as stream:
            stream.write(public)
    elif path.read_bytes() != public:
        raise BadInput(
            f"{path} is of another key of the keeper: expected a new log for a new key"
        )


def add_event(place: LogPlace, event: str, **what: Any) -> None:
    """Append an event to a log; it is on the disk when this returns.

    Parameters
    ----------
    event
        One of those of the log.
    what
        Of its fields; null where it is not given. No secret may be in it.
    """
    if event not in place.events or not set(what) <= set(place.fields):
        raise ValueError(f"{event} {sorted(what)}: not of a log")
    with open(place.path, "a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # other threads, and other processes
        seq, before = read_end(stream)
        told = dict.fromkeys(place.fields) | what
        told |= {"seq": seq + 1, "time": get_time(), "event": event, "prev": before}
        line = pack_json(told | {"sig": sign(place.key, LINE, told)})
        append_line(stream, line)
        if (seq + 1) % EVERY == 0 or event == "stop":
            add_checkpoint(place, seq + 1, hash_line(line))


def read_end(stream: BinaryIO) -> tuple[int, str]:
    """Return the number of the last line, 0 if there is none, and its SHA-256."""
    last = read_last(stream)
    return (int(json.loads(last)["seq"]), hash_line(last)) if last else (0, FIRST)


def add_checkpoint(place: LogPlace, seq: int, digest: str) -> None:
    """Append the number and the SHA-256 of a line to the file of checkpoints."""
    told = {"seq": seq, "hash": digest}
    with open(place.checkpoints, "ab") as stream:
        append_line(
            stream, pack_json(told | {"sig": sign(place.key, CHECKPOINT, told)})
        )


def sign(key: Ed25519PrivateKey, kind: bytes, told: Mapping[str, Any]) -> str:
    """Return the signature of a line, base64."""
    return encode(key.sign(kind + pack_json(told)))


def has_signed(
    public: bytes, kind: bytes, told: Mapping[str, Any], signature: str
) -> bool:
    """Return whether a signature of a line, base64, is by a key of 32 bytes."""
    key = Ed25519PublicKey.from_public_bytes(public)
    try:
        key.verify(decode(signature), kind + pack_json(told))
    except (InvalidSignature, ValueError, BadInput):
        return False
    return True


def verify_log(path: Path, public: bytes, checkpoints: Path | None = None) -> int:
    """Return the number of lines of a log, once all were found to hold.

    Parameters
    ----------
    public
        Key of the log, 32 bytes.

    Raises
    ------
    BadInput
        One does not; the message has the number of the first.
    """
    key = Ed25519PublicKey.from_public_bytes(public)
    known = read_checkpoints(checkpoints, key) if checkpoints else {}
    n, before = 0, FIRST
    for n, line in enumerate(read_lines(path), 1):
        told = check_line(line, key, LINE, f"{path}, line {n}")
        found = told.get("seq"), told.get("prev")
        if found != (n, before):
            raise BadInput(f"{path}, line {n}: it does not follow the line before it")
        before = hash_line(line)
        if known.get(n, before) != before:
            raise BadInput(f"{path}, line {n}: a checkpoint says another line")
    if known and max(known) > n:
        raise BadInput(
            f"{path}, line {n + 1}: missing: a checkpoint says {max(known)} lines"
        )
    return n


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, without their newlines.

    Raises
    ------
    BadInput
        It cannot be read, or ends within a line.
    """
    try:
        with open(path, "rb") as stream:
            for n, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    raise BadInput(f"{path}, line {n}: it is cut")
                yield line[:-1]
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}: expected a keeper's log") from None


def check_line(
    line: bytes, public: Ed25519PublicKey, kind: bytes, where: str
) -> dict[str, Any]:
    """Return what a line says, once its signature was found to hold.

    Raises
    ------
    BadInput
        It does not, or it is no line of a log.
    """
    try:
        told = json.loads(line)
        signature = decode(told.pop("sig"))
        public.verify(signature, kind + pack_json(told))
        if pack_json(told | {"sig": encode(signature)}) != line:
            raise ValueError("written another way")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(f"{where}: it is no line of a log") from None
    except InvalidSignature:
        raise BadInput(f"{where}: its signature does not hold") from None
    return dict(told)


def read_checkpoints(path: Path, public: Ed25519PublicKey) -> dict[int, str]:
    """Return the SHA-256 of lines by their numbers."""
    known = {}
    for n, line in enumerate(read_lines(path), 1):
        told = check_line(line, public, CHECKPOINT, f"{path}, line {n}")
        known[int(told["seq"])] = str(told["hash"])
    return known
