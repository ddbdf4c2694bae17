"""What is in a catalogue: data sets in their versions, and the events of them."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.events import (
    DATASET,
    EVENT,
    ORDER,
    Event,
    is_signed,
    make_event,
    pack_event,
)
from hpc_connector.catalogue.journal import list_damage
from hpc_connector.catalogue.records import (
    DataSet,
    Grant,
    Policy,
    Provenance,
    SliceIndex,
    StoredObject,
    read_reference,
)
from hpc_connector.confidential.chain import FIRST, hash_line
from hpc_connector.errors import BadInput

DENY = "deny"  # what an event does that changes nothing
OF_VERSION = "dataset = :dataset AND version = :version"


def get(catalog: Catalog, reference: str) -> DataSet:
    """Return a data set by ``ID`` or ``ID@VERSION``.

    Raises
    ------
    BadInput
        There is none.
    """
    name, version = read_reference(reference)
    found = find(catalog, name, version)
    if found is None:
        shown = f"{name}@{version}" if version else name
        raise BadInput(
            f"{shown} is not in {catalog.path}: hpc-connector catalog list says what is"
        )
    return found


def find(catalog: Catalog, name: str, version: int = 0) -> DataSet | None:
    """Return a data set in a version, 0 for the newest; None if there is none."""
    connection = catalog.connection
    where = "id = :id AND (version = :version OR (:version = 0 AND is_newest))"
    asked = {"id": name, "version": version}
    found = select(connection, "dataset", where, asked)
    if not found:
        return None
    (own,) = found
    own = {n: own[n] for n in DATASET if n != "fingerprint"}
    own["access"] = _read_access(connection, name)
    key = {"dataset": name, "version": own["version"]}
    words = select(connection, "keyword", OF_VERSION, key, "rowid")
    facts = select(connection, "facts", OF_VERSION, key, "name")
    return DataSet(
        objects=_read_objects(connection, key),
        keywords=tuple(row["word"] for row in words),
        facts={row["name"]: row["value"] for row in facts},
        policy=_read_policy(connection, name),
        provenance=_read_provenance(connection, key),
        **own,
    )


def find_first(catalog: Catalog, name: str) -> str:
    """Return the address of the first object of a data set, empty if there is none."""
    found = catalog.connection.execute(
        "SELECT url FROM object JOIN dataset ON dataset = id AND object.version = "
        "dataset.version WHERE id = ? AND is_newest ORDER BY n LIMIT 1",
        (name,),
    ).fetchone()
    return str(found[0]) if found else ""


def select(
    connection: sqlite3.Connection,
    table: str,
    where: str,
    key: Mapping[str, Any],
    order: str = "1",
) -> list[dict[str, Any]]:
    """Return rows of a table, by the names of their columns."""
    found = connection.execute(
        f"SELECT * FROM {table} WHERE {where} ORDER BY {order}", key
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _read_objects(
    connection: sqlite3.Connection, key: Mapping[str, Any]
) -> tuple[StoredObject, ...]:
    indexes: dict[int, SliceIndex] = {}
    for row in select(connection, "slice_index", OF_VERSION, key):
        n = _take_key(row)
        row["parameters"] = json.loads(row["parameters"])
        indexes[n] = SliceIndex(**row)
    found = []
    for row in select(connection, "object", OF_VERSION, key, "n"):
        n = _take_key(row)
        found.append(StoredObject(index=indexes.get(n), **row))
    return tuple(found)


def _take_key(row: dict[str, Any]) -> int:
    """Remove the key of an object from a row; return its number."""
    del row["dataset"], row["version"]
    return int(row.pop("n"))


def _read_access(connection: sqlite3.Connection, name: str) -> str:
    """Return the access of a data set: as its policy, that of now for all versions."""
    where = "id = :id AND is_newest"
    (row,) = select(connection, "dataset", where, {"id": name})
    return str(row["access"])


def _read_policy(connection: sqlite3.Connection, name: str) -> Policy:
    (row,) = select(connection, "policy", "dataset = :dataset", {"dataset": name})
    del row["dataset"]
    row["grants"] = tuple(Grant(**one) for one in json.loads(row["grants"]))
    row["roles"] = tuple(json.loads(row["roles"]))
    row["purposes"] = tuple(json.loads(row.pop("purpose")))
    return Policy(**row)


def _read_provenance(
    connection: sqlite3.Connection, key: Mapping[str, Any]
) -> Provenance | None:
    for row in select(connection, "provenance", OF_VERSION, key):
        del row["dataset"], row["version"]
        return Provenance(**row | {"parents": tuple(json.loads(row["parents"]))})
    return None


def list_ids(catalog: Catalog) -> list[str]:
    """Return the ids of all data sets, in order."""
    rows = catalog.connection.execute("SELECT id FROM dataset WHERE is_newest")
    return sorted(name for (name,) in rows)


def list_with(catalog: Catalog, fact: str, value: str) -> list[DataSet]:
    """Return the data sets that have a value of a fact now, in order of their ids.

    A fact of several values has them between ``; ``.
    """
    rows = catalog.connection.execute(
        "SELECT id FROM dataset JOIN facts ON dataset = id AND facts.version = "
        "dataset.version WHERE is_newest AND name = :name "
        "AND instr('; ' || value || '; ', '; ' || :value || '; ') ORDER BY id",
        {"name": fact, "value": value},
    )
    found = [find(catalog, name) for (name,) in rows.fetchall()]
    return [one for one in found if one]


def list_versions(catalog: Catalog, name: str) -> list[int]:
    """Return the versions of a data set, in order."""
    rows = catalog.connection.execute(
        "SELECT version FROM dataset WHERE id = ? ORDER BY version", (name,)
    )
    return [version for (version,) in rows]


def list_events(catalog: Catalog, name: str = "") -> Iterator[tuple[Event, str, int]]:
    """Yield events in order, each with its journal and line; of a data set, or all."""
    where = "WHERE json_extract(what, '$.id') = ?" if name else ""
    rows = catalog.connection.execute(
        f"SELECT {EVENT}, file, line FROM event {where} {ORDER}",
        (name,) if name else (),
    )
    for *row, file, line in rows:
        event = make_event(row)
        yield (replace(event, seq=line) if file else event), file, line


def list_clashes(catalog: Catalog, name: str) -> list[str]:
    """Return a phrase for each time that two wrote a data set and knew not of another.

    The later one is what the catalogue shows.
    """
    found, seen = [], ""
    for event, file, _ in list_events(catalog, name):
        if event.what["do"] != "add":
            continue
        if event.what.get("base", "") != seen:
            found.append(
                f"{event.actor} wrote it at {event.time} ({file or catalog.path.name}) "
                "without what others had written before: this is what is shown"
            )
        seen = event.what["dataset"]["modified"]
    return found


def list_faults(catalog: Catalog, trusted: Sequence[bytes] = ()) -> list[str]:
    """Return a phrase for each place where the chain of events does not hold.

    Parameters
    ----------
    trusted
        Public keys, 32 bytes each, of those who may write; without them no signature is
        looked at.
    """
    unsigned = list(_list_unsigned(catalog, trusted)) if trusted else []
    if catalog.journal:
        return list_damage(catalog.connection) + unsigned
    return _list_breaks(catalog) + unsigned


def _list_unsigned(catalog: Catalog, trusted: Sequence[bytes]) -> Iterator[str]:
    """Yield a phrase for each event that no trusted key has signed.

    Of a denied use this is none: it changes nothing, and is told by whose run it was.
    """
    for event, file, line in list_events(catalog):
        where = f"{file}, line {line}" if file else f"{catalog.path}, event {event.seq}"
        if not event.sig and event.what["do"] != DENY:
            yield f"{where}: it is not signed"
        elif event.sig and not is_signed(event, trusted):
            yield f"{where}: its signature does not hold, or is of nobody trusted"


def count_signed(catalog: Catalog) -> int:
    """Return how many events are signed, by whomever."""
    rows = catalog.connection.execute("SELECT count(*) FROM event WHERE sig != ''")
    return int(rows.fetchone()[0])


def _list_breaks(catalog: Catalog) -> list[str]:
    """Return a phrase for each event of a file that does not follow that before."""
    prev, faults = FIRST, []
    for n, (event, _, _) in enumerate(list_events(catalog), 1):
        if (event.seq, event.prev) != (n, prev):
            faults.append(
                f"{catalog.path}, event {n}: it does not follow the one before"
            )
        prev = hash_line(pack_event(event))
    return faults
