"""Data sets and events of other catalogues, taken into one; all of a file, or none."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.events import Event, pack_event, unpack_event
from hpc_connector.catalogue.lookup import find, find_first, list_events
from hpc_connector.catalogue.records import DataSet, to_json
from hpc_connector.confidential.chain import FIRST, get_time, hash_line
from hpc_connector.errors import BadInput
from hpc_connector.publish import publish


def take_records(catalog: Catalog, records: Sequence[DataSet]) -> int:
    """Add data sets as they are to a catalogue; return how many were not in it.

    One that is there with other objects, or other words, becomes a new version.

    Raises
    ------
    BadInput
        An id is taken by another data set: nothing is taken then.
    """
    for one in records:
        check_free(catalog, one.id, one.objects[0].url)
    return catalog.write_all((one.id, partial(_take, catalog, one)) for one in records)


def check_free(catalog: Catalog, name: str, url: str) -> None:
    """Refuse a data set whose id another one has, which is one of another first object.

    Raises
    ------
    BadInput
        It is taken.
    """
    before = find_first(catalog, name)
    if before and before != url:
        raise BadInput(f"{name} is taken by {before}")


def _take(catalog: Catalog, one: DataSet) -> dict[str, Any] | None:
    """Return the event by which a data set is added, None if it is there."""
    before = find(catalog, one.id)
    if before:
        one = keep_grants(one, before)
    if find(catalog, one.id, one.version) == one:
        return None
    if before and one.version <= before.version:
        one = replace(one, version=before.version + 1)
    modified = one.modified or get_time()
    if before:
        modified = max(get_time(), before.modified)
    one = replace(one, modified=modified, created=one.created or modified)
    base = before.modified if before else ""
    return {"do": "add", "id": one.id, "base": base, "dataset": to_json(one)}


def keep_grants(one: DataSet, before: DataSet) -> DataSet:
    """Return a data set with the grants that are known, before new ones of others.

    A graph has no grants to persons, nor does it say who gave or took back one.
    """
    known = before.policy.grants
    named = {grant.to for grant in known}
    new = [grant for grant in one.policy.grants if grant.to not in named]
    return replace(one, policy=replace(one.policy, grants=(*known, *new)))


def save_events(catalog: Catalog, path: Path) -> int:
    """Write all events of a catalogue as one journal; return their number.

    Those of a file keep their signatures; those of several journals are in another
    order than they were signed in, and have none.
    """
    n, prev = 0, FIRST
    with publish(path, "open") as stream:
        for n, (event, _, _) in enumerate(list_events(catalog), 1):
            line = pack_event(place_event(event, n, prev))
            stream.write(line + b"\n")
            prev = hash_line(line)
    return n


def place_event(event: Event, seq: int, prev: str) -> Event:
    """Return an event at a place of a chain; elsewhere its signature does not hold."""
    placed = replace(event, seq=seq, prev=prev)
    return placed if placed == event else replace(placed, sig="")


def take_events(catalog: Catalog, path: Path) -> int:
    """Do all that a journal says in a catalogue; return the number of its events.

    Raises
    ------
    BadInput
        A line of it is damaged or cut, or it is none, or an id is taken by another data
        set: nothing is done then.
    """
    try:
        *lines, rest = path.read_bytes().split(b"\n")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}: expected a journal") from None
    if rest:
        raise BadInput(f"{path}, line {len(lines) + 1}: it is cut: expected its end")
    events: list[Event] = []
    for number, line in enumerate(lines, 1):
        try:
            events.append(unpack_event(line))
        except ValueError as error:
            raise BadInput(f"{path}, line {number}: {error}") from None
    for event in events:
        if event.what["do"] == "add":
            first = event.what["dataset"]["objects"][0]
            check_free(catalog, event.what["id"], first["url"])
    catalog.append(*(dict(event.what) for event in events))
    return len(events)
