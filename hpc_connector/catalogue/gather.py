"""A data set from files: found, looked at and added; or nothing is added at all."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.headers import Member, list_members, read_facts
from hpc_connector.catalogue.lookup import find
from hpc_connector.catalogue.objects import check_name, make_object
from hpc_connector.catalogue.records import (
    DataSet,
    Policy,
    Provenance,
    StoredObject,
    check_data_set,
    read_id,
    to_json,
)
from hpc_connector.confidential.chain import get_time
from hpc_connector.errors import BadInput
from hpc_connector.manifest import NAME, read_manifest
from hpc_connector.publish import name_encrypted

AT_ONCE = 16
UNORDERED = {"keywords", "purposes"}  # of which a graph knows no order either


@dataclass(frozen=True)
class About:
    """What is told of a data set by who adds it; None for as before, or as usual.

    Fields are as those of ``DataSet`` and ``Policy``.
    """

    title: str | None = None
    description: str | None = None
    publisher: str | None = None
    access: str | None = None
    theme: str | None = None
    license: str | None = None
    keywords: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    purposes: tuple[str, ...] | None = None
    until: str | None = None
    least_level: int | None = None
    least_cell: int | None = None
    top_most: int | None = None
    keeper: str | None = None
    contact: str | None = None


OF_POLICY = {"roles", "purposes", "until", "least_level", "least_cell"}
OF_POLICY |= {"top_most", "keeper", "contact"}


def add(
    catalog: Catalog,
    name: str,
    files: Sequence[str] = (),
    about: About | None = None,
    *,
    members: Sequence[Member] = (),
    facts: Mapping[str, str] = MappingProxyType({}),
    run: Path | None = None,
    checksum: bool = True,
) -> tuple[DataSet, bool]:
    """Add a data set to a catalogue, or a new version of one; return it.

    Parameters
    ----------
    name
        Its id.
    files
        Files and URLs; what belongs to them is found.
    members, facts
        Of a study of a repository, beside the files. What headers say counts before.
    run
        Folder of a run whose results it is, beside the files.
    checksum
        Read all bytes for their SHA-256.

    Returns
    -------
    The data set as it is in the catalogue now, and whether anything was written.

    Raises
    ------
    BadInput
        An object that cannot be read, an id that is taken, or what may not be told.
    """
    read_id(name)
    own = list_members([check_name(file) for file in files]) if files else []
    own += [one for one in members if one not in own]
    known = {**facts, **read_facts(own)}
    origin = None
    if run is not None:
        results, origin = list_results(run)
        own += results
    if not own:
        raise BadInput(
            "expected files or URLs, or one of --from-run, --from-isatab, "
            "--from-mwtab, --from-metaspace"
        )
    objects = tuple(look_at(own, checksum=checksum))
    now: list[DataSet] = []

    def make() -> dict[str, Any] | None:
        before = find(catalog, name)
        found = join(before, name, objects, about or About(), known, origin)
        now.append(found)
        if found == before:
            return None
        base = before.modified if before else ""
        found = replace(found, modified=max(get_time(), base))
        now.append(replace(found, created=found.created or found.modified))
        told = to_json(now[-1])
        return {"do": "add", "id": name, "base": base, "dataset": told}

    is_written = catalog.write(make)
    return now[-1], is_written


def look_at(members: Sequence[Member], *, checksum: bool) -> list[StoredObject]:
    """Return the objects of a data set as they are now; several are read at once."""
    look = partial(_look_at, checksum=checksum)
    if len(members) == 1:
        return [look(members[0])]
    with ThreadPoolExecutor(min(AT_ONCE, len(members)), "objects") as pool:
        return list(pool.map(look, members))


def _look_at(member: Member, *, checksum: bool) -> StoredObject:
    return make_object(*member, checksum=checksum)


def join(
    before: DataSet | None,
    name: str,
    objects: tuple[StoredObject, ...],
    about: About,
    facts: Mapping[str, str],
    origin: Provenance | None,
) -> DataSet:
    """Return a data set of what is found and told now, and what was before.

    Raises
    ------
    BadInput
        The id is taken by other objects; the title is missing.
    """
    if before and before.objects[0].url != objects[0].url:
        raise BadInput(
            f"{name} is taken by {before.objects[0].url}: expected another --id, or "
            "that object first"
        )
    told = {n: v for n, v in vars(about).items() if v is not None}
    told |= {n: tuple(sorted(set(told[n]))) for n in UNORDERED & told.keys()}
    of_policy: dict[str, Any] = {n: v for n, v in told.items() if n in OF_POLICY}
    own: dict[str, Any] = {n: v for n, v in told.items() if n not in OF_POLICY}
    if before is None:
        if "title" not in own:
            raise BadInput(f"{name} is new: expected --title")
        policy = Policy(**of_policy)
        found = DataSet(name, objects=objects, facts=facts, policy=policy, **own)
        return check_data_set(replace(found, provenance=origin))
    objects = tuple(_take_before(each, before.objects) for each in objects)
    found = replace(
        before,
        objects=objects,
        facts={**before.facts, **facts},
        policy=replace(before.policy, **of_policy),
        provenance=origin or before.provenance,
        **own,
    )
    is_other = found.fingerprint != before.fingerprint
    return check_data_set(replace(found, version=before.version + is_other))


def _take_before(now: StoredObject, before: Sequence[StoredObject]) -> StoredObject:
    """Return an object with what was known of it, if it has not changed."""
    for one in before:
        if (one.url, one.bytes, one.tag) == (now.url, now.bytes, now.tag):
            return replace(now, sha256=now.sha256 or one.sha256, index=one.index)
    return now


def list_results(run: Path) -> tuple[list[Member], Provenance]:
    """Return the results of a run, and where they come from.

    Raises
    ------
    BadInput
        There is no run, or it is not done.
    """
    record = read_manifest(run)
    if record.get("status") != "done":
        raise BadInput(f"{run}: its run is not done: expected results")
    paths = [run / name for name in record.get("outputs", ())]
    paths = [path for path in paths if path.is_file()]
    whole = name_encrypted(run / NAME)
    paths += [whole] if whole.exists() else []
    parents = [one["dataset"] for one in record.get("inputs", ()) if "dataset" in one]
    names = dict.fromkeys(f"{one['id']}@{one['version']}" for one in parents)
    origin = Provenance(
        run_manifest_sha256=hashlib.sha256((run / NAME).read_bytes()).hexdigest(),
        program=str(record.get("program", "")),
        program_version=str(record.get("version", "")),
        measurement=str(record.get("confidential", {}).get("measurement", "")),
        parents=tuple(names),
        job=str(record.get("job", "")),
    )
    return [("result", str(path.absolute())) for path in paths], origin
