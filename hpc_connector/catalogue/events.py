"""Events of a catalogue: all that is written, as a chain of lines, and what they do.

A line is canonical JSON behind its CRC-32, and names the SHA-256 of the line before in
the same file: what is torn is seen by the one, what is changed later by the other.
"""

import json
import os
import pwd
import re
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpc_connector.catalogue.database import dump
from hpc_connector.catalogue.records import (
    DataSet,
    SliceIndex,
    check_index,
    check_number,
    check_text,
    from_json,
    read_day,
    read_id,
)
from hpc_connector.text import pack_json

SIGNED = b"hpc_connector catalog v1\0"  # before what is signed
KINDS = ("add", "index", "grant", "revoke", "deny")
EVENT = "seq, time, actor, what, prev, sig"  # columns of an event
ORDER = "ORDER BY time, file, line, seq"
DATASET = (  # columns of that table
    *("id", "version", "title", "description", "publisher", "created", "modified"),
    *("access", "theme", "license", "fingerprint"),
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
START = b'{"crc32":"%08x",'
START_BYTES = len(START % 0)


@dataclass(frozen=True)
class Event:
    """An event.

    Parameters
    ----------
    seq
        1, 2, ... in its file.
    time
        UTC, ISO 8601, milliseconds.
    what
        JSON with ``do``, one of :data:`KINDS`, and ``id``.
    prev
        SHA-256 of the line before, hexadecimal.
    sig
        Of whom has written it, base64; empty where they have no key.
    """

    seq: int
    time: str
    actor: str
    what: Mapping[str, Any]
    prev: str
    sig: str = ""


def get_actor() -> str:
    """Return who writes events: the user of this machine."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def pack_event(event: Event) -> bytes:
    """Return the line of an event, without its newline."""
    packed = pack_json({**vars(event), "what": dict(event.what)})
    return START % zlib.crc32(packed) + packed[1:]


def sign_event(event: Event, signer: Any) -> Event:
    """Return an event with the signature of a key (Ed25519); as it is for None."""
    if signer is None:
        return event
    from hpc_connector.confidential.keeper.log import sign  # of an extra

    return replace(event, sig=sign(signer, SIGNED, tell_signed(event)))


def is_signed(event: Event, trusted: Sequence[bytes]) -> bool:
    """Return whether an event is signed by one of some keys, 32 bytes each."""
    from hpc_connector.confidential.keeper.log import has_signed  # of an extra

    told = tell_signed(event)
    return any(has_signed(key, SIGNED, told, event.sig) for key in trusted)


def tell_signed(event: Event) -> dict[str, Any]:
    """Return what is signed of an event: all else, its place in the chain too."""
    told = {**vars(event), "what": dict(event.what)}
    return {name: value for name, value in told.items() if name != "sig"}


def unpack_event(line: bytes) -> Event:
    """Return the event of a line.

    Raises
    ------
    ValueError
        It is damaged.
    """
    packed = b"{" + line[START_BYTES:]
    if line[:START_BYTES] != START % zlib.crc32(packed):
        raise ValueError("its checksum does not hold")
    try:
        event = Event(**json.loads(packed))
        check_event(event)
        check_what(event.what)
    except (TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError("it is no event") from None
    return event


def check_event(event: Event) -> None:
    """Refuse an event that no catalogue has written.

    Raises
    ------
    ValueError, TypeError
        It is that.
    """
    check_number(event.seq, "seq")
    texts = (event.actor, event.prev, event.sig)
    if not TIME.fullmatch(event.time) or not all(isinstance(t, str) for t in texts):
        raise ValueError("it is no event")
    check_text(dict(event.what))


def check_what(what: Mapping[str, Any]) -> None:
    """Refuse what no event does.

    Raises
    ------
    ValueError, TypeError, KeyError
        It is that.
    """
    read_id(what["id"])
    if what["do"] == "add" and from_json(what["dataset"], "").id != what["id"]:
        raise ValueError("it is no event")
    if what["do"] == "index":
        check_index(SliceIndex(**what["index"]))
        for name in ("version", "n"):
            check_number(what[name], name)
    if what["do"] == "grant":
        read_day(what["until"])
    if what["do"] in ("grant", "revoke") and not isinstance(what["to"], str):
        raise ValueError("it is no event")
    if what["do"] not in KINDS:
        raise ValueError("it is no event")


def make_event(row: Sequence[Any]) -> Event:
    """Return the event of a row of :data:`EVENT`."""
    seq, time, actor, what, prev, sig = row
    return Event(seq, time, actor, json.loads(what), prev, sig)


# What events do to the tables


def insert_event(
    connection: sqlite3.Connection, event: Event, file: str = "", line: int = 0
) -> None:
    """Add an event to its table; in a cache the place numbers it anew."""
    connection.execute(
        "INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (
            None if file else event.seq,
            event.time,
            event.actor,
            dump(event.what),
            event.prev,
            event.sig,
            file,
            line,
        ),
    )


def replay(connection: sqlite3.Connection, name: str) -> None:
    """Make the rows of a data set anew, by all of its events in order."""
    rows = connection.execute(
        f"SELECT {EVENT} FROM event WHERE json_extract(what, '$.id') = ? {ORDER}",
        (name,),
    ).fetchall()
    forget(connection, name)
    for row in rows:
        apply(connection, make_event(row))


def forget(connection: sqlite3.Connection, name: str) -> None:
    """Remove the rows of a data set; its events stay."""
    connection.execute(
        "DELETE FROM text WHERE rowid IN (SELECT rowid FROM dataset WHERE id = ?)",
        (name,),
    )
    connection.execute("DELETE FROM dataset WHERE id = ?", (name,))
    connection.execute("DELETE FROM policy WHERE dataset = ?", (name,))


def apply(connection: sqlite3.Connection, event: Event) -> None:
    """Change the tables as an event says."""
    {
        "add": _add,
        "index": _index,
        "grant": _grant,
        "revoke": _revoke,
        "deny": lambda *_: None,
    }[event.what["do"]](connection, event)


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    """Write a row; one of the same key is replaced."""
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT OR REPLACE INTO {table}({names}) VALUES({marks})", row)


def _add(connection: sqlite3.Connection, event: Event) -> None:
    one = from_json(event.what["dataset"], event.what["id"])
    key = {"dataset": one.id, "version": one.version}
    connection.execute(
        "DELETE FROM text WHERE rowid IN "
        "(SELECT rowid FROM dataset WHERE id = ? AND is_newest)",
        (one.id,),
    )
    connection.execute(
        "DELETE FROM dataset WHERE id = :dataset AND version = :version", key
    )
    connection.execute("UPDATE dataset SET is_newest = 0 WHERE id = ?", (one.id,))
    own = {name: getattr(one, name) for name in DATASET}
    _insert(connection, "dataset", {**own, "is_newest": 1})
    (rowid,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    for n, each in enumerate(one.objects):
        row = {k: v for k, v in vars(each).items() if k != "index"}
        _insert(connection, "object", {**key, "n": n, **row})
        if each.index:
            _add_index(connection, {**key, "n": n}, each.index)
    for word in one.keywords:
        _insert(connection, "keyword", {**key, "word": word})
    for name, value in one.facts.items():
        _insert(connection, "facts", {**key, "name": name, "value": value})
    _add_policy(connection, one)
    if one.provenance is not None:
        origin = vars(one.provenance) | {"parents": dump(list(one.provenance.parents))}
        _insert(connection, "provenance", {**key, **origin})
    _insert(connection, "text", {"rowid": rowid, **list_words(one)})


def list_words(one: DataSet) -> dict[str, str]:
    """Return what of a data set can be searched."""
    facts = [*one.facts, *one.facts.values()]
    formats = dict.fromkeys(each.format for each in one.objects)
    return {
        "id": one.id,
        "title": one.title,
        "description": one.description,
        "keywords": " ".join(one.keywords),
        "facts": " ".join([*facts, *formats]),
    }


def _add_index(
    connection: sqlite3.Connection, key: Mapping[str, Any], index: SliceIndex
) -> None:
    row = vars(index) | {"parameters": dump(index.parameters)}
    _insert(connection, "slice_index", {**key, **row})


def _add_policy(connection: sqlite3.Connection, one: DataSet) -> None:
    """Write the policy of a data set; grants that it has had stay."""
    row = dict(vars(one.policy))
    held = _read_grants(connection, one.id) or [vars(each) for each in row["grants"]]
    row |= {"roles": dump(row["roles"]), "purpose": dump(row.pop("purposes"))}
    _insert(connection, "policy", {"dataset": one.id, **row, "grants": dump(held)})


def _read_grants(connection: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    row = connection.execute("SELECT grants FROM policy WHERE dataset = ?", (name,))
    found = row.fetchone()
    return list(json.loads(found[0])) if found else []


def _save_grants(
    connection: sqlite3.Connection, name: str, grants: list[dict[str, Any]]
) -> None:
    connection.execute(
        "UPDATE policy SET grants = ? WHERE dataset = ?", (dump(grants), name)
    )


def _index(connection: sqlite3.Connection, event: Event) -> None:
    key = {"dataset": event.what["id"]}
    key |= {name: event.what[name] for name in ("version", "n")}
    found = connection.execute(
        "SELECT 1 FROM object WHERE dataset = :dataset AND version = :version "
        "AND n = :n",
        key,
    ).fetchone()
    if found:
        _add_index(connection, key, SliceIndex(**event.what["index"]))


def _grant(connection: sqlite3.Connection, event: Event) -> None:
    told = {"to": event.what["to"], "until": event.what["until"]}
    new = {**told, "by": event.actor, "revoked": ""}
    held = _read_grants(connection, event.what["id"])
    _save_grants(connection, event.what["id"], [*held, new])


def _revoke(connection: sqlite3.Connection, event: Event) -> None:
    grants = [
        {**one, "revoked": one.get("revoked") or event.time}
        if one["to"] == event.what["to"]
        else one
        for one in _read_grants(connection, event.what["id"])
    ]
    _save_grants(connection, event.what["id"], grants)
