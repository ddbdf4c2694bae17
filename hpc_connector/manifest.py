"""``manifest.json``: how it begins, is written and read, and whether a run goes on."""

import json
import logging
import os
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from hpc_connector.confidential.published import read_published
from hpc_connector.errors import BadInput
from hpc_connector.locks import folder_lock
from hpc_connector.options import WAS, RunOptions
from hpc_connector.publish import Kind, get_readers, name_encrypted, publish
from hpc_connector.run_record import OPEN, FromCatalogue, Input, RunRecord
from hpc_connector.storage import key_ring
from hpc_connector.storage.address import is_encrypted, is_remote
from hpc_connector.storage.checksums import get_checksum, list_files
from hpc_connector.storage.objects import get_body, get_object, get_stored

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
NAME = "manifest.json"
NO_RUN = {f"{NAME}.partial", "telemetry"}  # what may lie in the folder before
NO_RUN |= {"job.json", "job.json.partial"}
NOT_PARAMETERS = {"command", "config", "out", "threads", "resume"}
NOT_PARAMETERS |= {"quiet", "json", "plan", "scratch"}
NOT_PARAMETERS |= {"catalog", "purpose", "datasets"}
NOT_PARAMETERS |= {"key", "passphrase_fd", "grant", "trust", "encrypt_to"}
NOT_PARAMETERS |= {"burst", "burst_workers", "burst_share", "budget", "deadline"}
NOT_PARAMETERS |= {"engine", "telemetry", "policy", "history", "words", "started_s"}
NOT_PARAMETERS |= {"telemetry_stream", "results_stream", "stream_profile", "every"}


def save_manifest(directory: Path, record: RunRecord) -> None:
    """Write ``manifest.json``, published by rename.

    Where results are encrypted it is what anybody may read, and the whole is encrypted.
    """
    shown: Mapping[str, Any] = record
    if get_readers() and record.keys() - OPEN:
        save_record(directory / NAME, record, seeks=True)
        shown = {name: value for name, value in record.items() if name in OPEN}
    save_record(directory / NAME, shown, "open")


def read_manifest(directory: Path) -> RunRecord:
    """Return the record of a run; see :func:`read_record` for what is raised."""
    found = read_record(directory / NAME, "a manifest", f"{directory} holds no run")
    return cast("RunRecord", found)


def add_outputs(directory: Path, names: Iterable[str]) -> list[str]:
    """Add files to those that ``manifest.json`` names; return all.

    What is encrypted of the record stays as it is, and for whom it is.
    """
    record = read_manifest(directory)
    outputs = list(dict.fromkeys([*record.get("outputs", []), *names]))
    save_record(directory / NAME, record | {"outputs": outputs}, "open")
    return outputs


def read_whole_manifest(directory: Path) -> RunRecord:
    """Return the record of a run, also what of it is encrypted.

    Raises
    ------
    BadInput
        As :func:`read_record`; or it is not for the key in hand.
    """
    shown = read_manifest(directory)
    if not name_encrypted(directory / NAME).exists():
        return shown
    whole = json.loads(read_published(directory / NAME))
    return cast("RunRecord", {**whole, **shown})


def save_record(
    path: Path, record: Mapping[str, Any], kind: Kind = "result", *, seeks: bool = False
) -> None:
    """Write a record with the version of its format; see :func:`publish`."""
    text = json.dumps({"format_version": FORMAT_VERSION, **record}, indent=2)
    with publish(path, kind, seeks=seeks) as stream:
        stream.write(f"{text}\n".encode())


def read_record(path: Path, what: str, none: str) -> dict[str, Any]:
    """Return a record of the folder of a run.

    Parameters
    ----------
    what
        It is, for a message.
    none
        What it means that there is none.

    Raises
    ------
    BadInput
        There is none, it is not JSON, or it has another format version.
    """
    try:
        shown = path.read_text() if path.exists() else read_published(path)
        record = json.loads(shown)
    except FileNotFoundError:
        raise BadInput(f"{none}: expected {path.name} in it") from None
    except BadInput:  # which is a ValueError
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not {what}: {error}") from None
    found = record.get("format_version") if isinstance(record, dict) else None
    if found != FORMAT_VERSION:
        raise BadInput(
            f"{path} has format {found}; this version reads {FORMAT_VERSION}"
        )
    return cast("dict[str, Any]", record)


def get_n_bytes(path: str) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(path, name)) for name in list_files(path))


def get_time() -> str:
    """Return the time now in UTC, ISO 8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def find_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences of two records, one phrase a key."""
    return [
        f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def begin_run(
    program: str, args: RunOptions, inputs: Sequence[str], *, resume: bool
) -> RunRecord:
    """Make the folder ``args.out`` of a run, or check that of one to resume.

    Parameters
    ----------
    inputs
        Files that decide the results. Their fingerprints are in the record where there
        are earlier ones to compare them with; else
        :mod:`hpc_connector.pipeline.fingerprints` adds them.

    Returns
    -------
    The record so far; its status is "done" where nothing is left to do.

    Raises
    ------
    BadInput
        An input that cannot be read, a folder that is not empty, or that of a run with
        other parameters or inputs.
    """
    out: Path = args.out
    check_burst(args, inputs)
    check_trust(args, inputs)
    before = read_manifest(out) if resume and (out / NAME).exists() else None
    earlier = before.get("inputs", []) if before else []
    is_known = before is not None and all(map(get_fingerprint, earlier))
    record: RunRecord = {
        "program": program,
        "version": version("hpc_connector"),
        "status": "running",
        "attempt": 1,
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "started": get_time(),
        "command": shlex.join([program, args.command, *map(str, args.words)]),
        "parameters": get_parameters(args),
        "inputs": [
            add_data_set(describe_input(path, checksum=is_known), args)
            for path in inputs
        ],
        "software": get_software(),
    }
    if readers := get_readers():
        record["recipients"] = list(readers.fingerprints)
    if any(map(is_encrypted, inputs)):
        record["confidential"] = key_ring.get_facts()
    if before:
        check_resumable(before, record, out)
        if is_complete(out, before):
            return before
        record["attempt"] = before.get("attempt", 1) + 1
        record["slurm"] = before.get("slurm", [])
        record["jobs"] = list_jobs(before)
    elif is_in_use(out):
        raise BadInput(
            f"{out} is not empty: expected a new folder, or --resume to go on with the "
            "run in it"
        )
    out.mkdir(parents=True, exist_ok=True)
    save_manifest(out, record)  # first: what is killed from here on can be resumed
    (out / "ledger").mkdir(exist_ok=True)
    return record


def list_jobs(record: RunRecord) -> list[str]:
    """Return the jobs that a run had so far, the first one first."""
    earlier, account = (
        found if isinstance(found := record.get(name), list) else []
        for name in ("jobs", "slurm")
    )
    told = [one.get("job") for one in account if isinstance(one, dict)]
    jobs = [*earlier, *told, record.get("job")]
    return list(dict.fromkeys(job for job in jobs if isinstance(job, str) and job))


def has_ended(out: Path, *, resume: bool) -> bool:
    """Return whether there is nothing to run in a folder, or it will be refused."""
    if not resume:
        return is_in_use(out)
    try:
        return is_complete(out, read_manifest(out))
    except BadInput:
        return False


def enter_folder(out: Path, *, resume: bool) -> str:
    """Take the folder of a run, unless it has ended; return its lock.

    Raises
    ------
    BadInput
        Another run works there, or may do so.
    """
    if resume and has_ended(out, resume=True):
        return ""
    folder_lock.check_free(out)
    return "" if has_ended(out, resume=resume) else folder_lock.take_folder(out)


def is_in_use(out: Path) -> bool:
    """Return whether a folder holds what may not lie in that of a new run."""
    return out.exists() and not all(makes_no_run(path.name) for path in out.iterdir())


def makes_no_run(name: str) -> bool:
    """Return whether a file may lie in the folder of a run that has not begun."""
    return name in NO_RUN or folder_lock.is_of_lock(name)


def get_parameters(args: RunOptions) -> dict[str, Any]:
    """Return the options that decide the results, as a manifest gives them back."""
    chosen = {k: v for k, v in sorted(vars(args).items()) if k not in NOT_PARAMETERS}
    return cast("dict[str, Any]", json.loads(json.dumps(chosen, default=str)))


def is_complete(out: Path, record: RunRecord) -> bool:
    """Return whether an earlier attempt has left nothing to do."""
    return (
        record["status"] == "done"
        and not (out / "ledger").exists()
        and all((out / name).exists() for name in record["outputs"])
    )


def describe_input(path: str, *, checksum: bool = True) -> Input:
    """Return path, size and checksum of an input file, or the tag of an object.

    Raises
    ------
    BadInput
        A file that cannot be read.
    """
    if is_remote(path):
        version = get_stored(path)[1] if is_encrypted(path) else get_object(path)[1]
        remote: Input = {"path": path, "bytes": version.size, "etag": version.etag}
        return add_seal(remote)
    try:
        found: Input = {"path": path, "bytes": get_n_bytes(path)}
        if checksum:
            found["sha256"] = get_checksum(path)
        elif not os.path.isdir(path):
            with open(path, "rb"):  # as it can be read
                pass
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    return add_seal(found)


def add_data_set(found: Input, args: RunOptions) -> Input:
    """Return a description with the data set that named the input, if one did.

    Raises
    ------
    BadInput
        It is not what it was then.
    """
    if known := args.datasets.get(found["path"]):
        check_known(found["path"], found, args.datasets)
        told = {name: value for name, value in known.items() if name != WAS}
        found["dataset"] = cast("FromCatalogue", told)
    return found


def check_known(
    path: str, found: Mapping[str, Any], datasets: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse an input that is not what its data set in a catalogue says.

    Parameters
    ----------
    found
        Size, SHA-256 or tag, as far as they are known.

    Raises
    ------
    BadInput
        Somebody has changed it since the run looked, or in a way that size and time of
        a file do not show.
    """
    known = datasets.get(path, {})
    was = known.get(WAS, {})
    if any(was.get(name) and value != was[name] for name, value in found.items()):
        raise BadInput(
            f"{path} is not what was added to {known['id']}: expected hpc-connector "
            "catalog add; catalog verify --full says what has changed"
        )


def add_seal(found: Input) -> Input:
    """Return a description with whose seal an input has, if it is encrypted.

    That it has none is said in the log too.

    Raises
    ------
    BadInput
        It cannot be opened.
    """
    if is_encrypted(found["path"]):
        stored = get_body(found["path"]).seal
        found["seal"] = "none"
        if stored is None:
            said = "%s has no seal: nothing proves that its segments are all there"
            logger.warning(said, found["path"])
        else:
            from hpc_connector.crypt4gh import header  # of an extra

            signer = header.get_fingerprint(stored.seal.signer)
            version = stored.seal.head["version"]
            found["seal"] = {"signer": signer, "version": version}
    return found


def check_burst(args: RunOptions, inputs: Sequence[str]) -> None:
    """Refuse functions of a cloud for encrypted inputs: they would get plaintext.

    Raises
    ------
    BadInput
        There are some, and the message has the first.
    """
    encrypted = [path for path in inputs if is_encrypted(path)]
    if encrypted and getattr(args, "burst", None):
        raise BadInput(
            f"--burst does not go with encrypted inputs ({encrypted[0]}): what "
            "functions are given would lie in a bucket as plaintext"
        )


def check_trust(args: RunOptions, inputs: Sequence[str]) -> None:
    """Refuse data in plain where somebody must have sealed them.

    What else a run is given, lists and tables that its options name, may be plain.
    """
    n_data = max(1, len(getattr(args, "genotypes", ())))  # which stand first
    plain = [path for path in inputs[:n_data] if not is_encrypted(path)]
    if plain and getattr(args, "trust", None):
        raise BadInput(
            f"--trust: {plain[0]} is plain, which nobody has sealed: expected an "
            "encrypted file"
        )


def get_fingerprint(described: Input) -> str:
    """Return the fingerprint by which an input is told from another."""
    return str(described.get("etag") or described.get("sha256", ""))[:12]


def check_resumable(before: RunRecord, now: RunRecord, out: Path) -> None:
    """Refuse to resume a run whose parameters or inputs have changed."""
    facts = [
        {name: record.get(name) for name in ("program", "version", "recipients")}
        | record.get("parameters", {})
        | {i["path"]: get_fingerprint(i) for i in record.get("inputs", [])}
        for record in (before, now)
    ]
    if changes := find_changes(*facts):
        raise BadInput(f"{out} cannot be resumed, for {'; '.join(changes)}")


def get_software() -> dict[str, str]:
    """Return the versions of what computes."""
    names = ("numpy", "numba", "h5py", "pysam")
    return {"python": platform.python_version()} | {n: version(n) for n in names}
