"""An RO-Crate of a run: what it did with what, by Process Run Crate 0.5.

No user, host or folder of this machine is in it: inputs are named by their data set in
a catalogue, or by the last part of their name, and so they are in pages of the run.
"""

import hashlib
import html
import io
import mimetypes
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
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
from hpc_connector.run_record import FromCatalogue, Input, RunRecord
from hpc_connector.storage import address
from hpc_connector.storage.checksums import get_checksum

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
PAGE = ".html"
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
    names = list_names(record, run)
    results = [
        _add_result(crate, run, path, names) for path in list_results(run, record)
    ]
    inputs = [_add_input(crate, one) for one in record["inputs"]]
    of_sites = record.get("federation", {}).get("datasets", {})
    named = [one for known in of_sites.values() for one in known]
    inputs += [_add_data_set(crate, one) for one in named]
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


def list_names(record: RunRecord, run: Path) -> list[str]:
    """Return what a page of a run names files by: inputs, options, words of commands.

    They are names with folders; those that may be part of others come last.
    """
    values = list(record.get("parameters", {}).values())
    words = [str(run.absolute()), *shlex.split(record.get("command", ""))]
    words += [one["path"] for one in record["inputs"]]
    for value in values:
        words += map(str, value) if isinstance(value, list) else [str(value)]
    return sorted({word for word in words if "/" in word}, key=len, reverse=True)


def hide_folders(page: str, names: Sequence[str]) -> str:
    """Return a page in which files are named by the last part of their name alone.

    Parameters
    ----------
    names
        From :func:`list_names`.
    """
    for name in names:
        last = posixpath.basename(address.cut_query(name).rstrip("/"))
        page = replace_name(page, name, last)
    folders = {posixpath.dirname(name) for name in names if name.startswith("/")}
    for folder in sorted(folders - {"/"}, key=len, reverse=True):
        page = replace_name(page, f"{folder}/", "")
        page = replace_name(page, folder, posixpath.basename(folder))
    return page


def replace_name(page: str, name: str, new: str) -> str:
    """Return a page in which a name that begins there is another."""
    old, new = escape(name), escape(new)
    return re.sub(rf"(?<![\w/+.:-]){re.escape(old)}", lambda _: new, page)


def escape(text: str) -> str:
    """Return text as pages have it."""
    escaped = html.escape(text, quote=False)
    return escaped.replace('"', "&#34;").replace("'", "&#39;")


def _add_result(crate: ROCrate, run: Path, path: Path, names: Sequence[str]) -> Entity:
    """Add a file; an encrypted one is listed as it is, and not opened."""
    kind = MEDIA.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    told = {"name": path.name, "encodingFormat": kind or OTHER_MEDIA}
    name = path.relative_to(run).as_posix()
    if path.suffix == PAGE:
        data = hide_folders(path.read_text("utf-8"), names).encode()
        told |= {"sha256": hashlib.sha256(data).hexdigest()}
        told |= {"contentSize": str(len(data))}
        return crate.add_file(io.BytesIO(data), name, properties=told)
    told |= {"contentSize": str(path.stat().st_size)}
    told |= {"sha256": get_checksum(str(path))}
    return crate.add_file(path, name, properties=told)


def _add_input(crate: ROCrate, one: Input) -> Entity:
    """Add an input by its data set, or by its base name.

    It is a work and no file, for data that a crate names must be parts of it.
    """
    if known := one.get("dataset"):
        return _add_data_set(crate, known)
    name = posixpath.basename(address.cut_query(one["path"]).rstrip("/"))
    digest = one.get("sha256", "")
    told = {"@type": "CreativeWork", "name": name, "contentSize": str(one["bytes"])}
    told |= {"sha256": digest} if digest else {}
    iri = f"urn:sha256:{digest}" if digest else f"#input-{quote(name)}"
    return crate.add(ContextEntity(crate, iri, told))


def _add_data_set(crate: ROCrate, known: FromCatalogue) -> Entity:
    """Add a data set of a catalogue; of a search over sites there is no more of it."""
    iri = f"urn:hpc-connector:dataset:{known['id']}:{known['version']}"
    names = [known["fingerprint"], known.get("identifier", "")]
    told = {
        "@type": "CreativeWork",
        "name": f"{known['id']}@{known['version']}",
        "identifier": names if names[1] else names[0],
    }
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
