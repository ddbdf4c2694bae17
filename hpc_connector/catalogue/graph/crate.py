"""An RO-Crate of a run: what it did with what, by Process Run Crate 0.5.

No user, host or folder of this machine is in its metadata: inputs are named by their
data set in a catalogue, or by the last part of their name.
"""

import mimetypes
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from hpc_connector.catalogue.objects import OTHER_MEDIA
from hpc_connector.errors import BadInput
from hpc_connector.manifest import NAME, read_manifest
from hpc_connector.publish import make_partial, name_encrypted
from hpc_connector.run_record import Input, RunRecord
from hpc_connector.storage import address
from hpc_connector.storage.checksums import get_checksum

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
MEDIA = {
    ".tsv": "text/tab-separated-values",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
}


def save_crate(
    run: Path, out: Path, *, agent: str | None = None, license: str | None = None
) -> None:
    """Write the RO-Crate of a run: its metadata, and copies of its results.

    Parameters
    ----------
    out
        A folder that is new.
    agent
        Name of who has run it; nobody is named without it.
    license
        URL of the licence of the results.

    Raises
    ------
    BadInput
        The run is not done, its results are not there, or the folder is.
    """
    record = read_manifest(run)
    if record.get("status") != "done":
        raise BadInput(f"{run}: its run is not done: expected results")
    if out.exists():
        raise BadInput(f"{out} is there: expected a new folder")
    crate = ROCrate(gen_preview=False)
    results = [_add_result(crate, run, path) for path in list_results(run, record)]
    inputs = [_add_input(crate, one) for one in record["inputs"]]
    action = crate.add_action(
        _add_program(crate, record),
        identifier="#run",
        object=list({one.id: one for one in inputs}.values()),
        result=results,
        properties=_describe(run, record),
    )
    if agent:
        person = {"@type": "Person", "name": agent}
        action["agent"] = crate.add(ContextEntity(crate, "#agent", person))
    _describe_root(crate, record, action, license)
    out.parent.mkdir(parents=True, exist_ok=True)
    with make_partial(out) as folder:
        crate.write(folder / "crate")
        (folder / "crate").replace(out)


def list_results(run: Path, record: RunRecord) -> list[Path]:
    """Return the files that a run has written, those of folders too."""
    found: list[Path] = []
    for name in record["outputs"]:
        path = run / name
        inside = [one for one in path.rglob("*") if one.is_file()]
        found += sorted(inside) if path.is_dir() else [path]
    whole = name_encrypted(run / NAME)
    found += [whole] if whole.exists() else []
    if missing := [path for path in found if not path.is_file()]:
        raise BadInput(f"{missing[0]} is missing: expected the results of the run")
    return found


def _add_result(crate: ROCrate, run: Path, path: Path) -> Entity:
    """Add a file; an encrypted one is listed as it is, and not opened."""
    kind = MEDIA.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    told = {
        "name": path.name,
        "encodingFormat": kind or OTHER_MEDIA,
        "contentSize": str(path.stat().st_size),
        "sha256": get_checksum(str(path)),
    }
    return crate.add_file(path, path.relative_to(run).as_posix(), properties=told)


def _add_input(crate: ROCrate, one: Input) -> Entity:
    """Add an input by its data set, or by its base name.

    It is a work and no file, for data that a crate names must be parts of it.
    """
    if known := one.get("dataset"):
        name = f"{known['id']}@{known['version']}"
        iri = f"urn:hpc-connector:dataset:{known['id']}:{known['version']}"
        told = {
            "@type": "CreativeWork",
            "name": name,
            "identifier": known["fingerprint"],
        }
        return crate.add(ContextEntity(crate, iri, told))
    name = posixpath.basename(address.cut_query(one["path"]).rstrip("/"))
    digest = one.get("sha256", "")
    told = {"@type": "CreativeWork", "name": name, "contentSize": str(one["bytes"])}
    told |= {"sha256": digest} if digest else {}
    iri = f"urn:sha256:{digest}" if digest else f"#input-{quote(name)}"
    return crate.add(ContextEntity(crate, iri, told))


def _add_program(crate: ROCrate, record: RunRecord) -> Entity:
    told = {
        "@type": "SoftwareApplication",
        "name": record["program"],
        "softwareVersion": record["version"],
    }
    return crate.add(ContextEntity(crate, f"#{record['program']}", told))


def _describe(run: Path, record: RunRecord) -> dict[str, Any]:
    """Return what is said of the action; the manifest by its digest alone."""
    return {
        "name": f"Run of {record['program']} {record['version']}",
        "startTime": record["started"],
        "endTime": record.get("finished", record["started"]),
        "identifier": f"urn:sha256:{get_checksum(str(run / NAME))}",
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }


def _describe_root(
    crate: ROCrate, record: RunRecord, action: Entity, license: str | None
) -> None:
    """Say what the crate is; it is of the day on which the run ended."""
    profile: Mapping[str, str] = {
        "@type": "CreativeWork",
        "name": "Process Run Crate",
        "version": "0.5",
    }
    root = crate.root_dataset
    root["conformsTo"] = crate.add(ContextEntity(crate, PROFILE, dict(profile)))
    root["mentions"] = action
    crate.name = f"Results of {record['program']} {record['version']}"
    crate.description = "Files that a run has written, and what it read"
    root["datePublished"] = record.get("finished", record["started"])
    if license:
        told = {"@type": "CreativeWork", "name": license}
        root["license"] = crate.add(ContextEntity(crate, license, told))
