"""What a party keeps of its searches: a log, chained and signed as that of a keeper."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpc_connector.confidential.keeper.log import (
    LogPlace,
    add_event,
    name_public,
    read_lines,
    save_public,
    verify_log,
)
from hpc_connector.confidential.keys import load_signer, load_trusted, save_new_signer
from hpc_connector.errors import BadInput
from hpc_connector.federation.study import Study

EVENTS = frozenset(("join", "query", "refuse", "end", "show", "overlap"))
FIELDS = ("study", "sha256", "party", "cohort", "bytes", "reason")


def make_folder(records: Path) -> None:
    """Make the folder of records, if it is not there.

    Raises
    ------
    BadInput
        It cannot be made, or written to.
    """
    try:
        records.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{records}: {error.strerror}: expected a folder") from None
    if not os.access(records, os.W_OK | os.X_OK):
        raise BadInput(f"{records}: expected a folder that may be written to")


@contextlib.contextmanager
def alone(records: Path, study: Study, party: str) -> Iterator[None]:
    """Let one search at a time look at the budget of a party, and change it."""
    make_folder(records)
    with open(records / f"{study.name}.{party}.lock", "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def open_log(records: Path, study: Study, party: str) -> LogPlace:
    """Return the log of a party, which has a key of its own from its first event on.

    Parameters
    ----------
    records
        Folder of the party's budgets and logs.
    """
    make_folder(records)
    stem = records / f"{study.name}.{party}"
    private = stem.with_name(f"{stem.name}.signer.pem")
    if not private.exists():
        save_new_signer(stem.with_name(f"{stem.name}.signer"))
    log, marks = (stem.with_name(f"{stem.name}.{end}") for end in ("log", "marks"))
    place = LogPlace(log, marks, load_signer(private), EVENTS, FIELDS)
    save_public(place)
    return place


def tell(place: LogPlace, study: Study, party: str, event: str, **what: Any) -> None:
    """Add an event of a study to the log of a party; no secret may be in it."""
    known = {"study": study.name, "sha256": study.sha256, "party": party}
    add_event(place, event, **known, **what)


def has_queried(place: LogPlace) -> bool:
    """Return whether the log of a party, which must hold, has a query.

    Raises
    ------
    BadInput
        A line of it was changed.
    """
    if not place.path.exists():
        return False
    public = place.key.public_key().public_bytes_raw()
    marks = place.checkpoints
    verify_log(place.path, public, marks if marks.exists() else None)
    return any(json.loads(line)["event"] == "query" for line in read_lines(place.path))


def verify_all(records: Path) -> Iterator[tuple[Path, int, list[str]]]:
    """Yield the logs of a folder: how many lines hold, and the lines.

    Raises
    ------
    BadInput
        There is none, or one was changed; the message has the first line.
    """
    paths = sorted(records.glob("*.log"))
    if not paths:
        raise BadInput(f"{records} holds no log: expected the folder of --records")
    for path in paths:
        (public,) = load_trusted([name_public(path)])
        marks = path.with_suffix(".marks")
        n = verify_log(path, public, marks if marks.exists() else None)
        yield path, n, [line.decode() for line in read_lines(path)]
