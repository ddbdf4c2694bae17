"""What the person who runs a keeper puts into it, and takes out again."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpc_connector.confidential.files import open_input, open_seal, read_start
from hpc_connector.confidential.keeper.database import (
    Stored,
    list_grants,
    list_objects,
    revoke,
    save_object,
)
from hpc_connector.confidential.keeper.grants import format_time
from hpc_connector.confidential.keeper.log import add_event
from hpc_connector.confidential.keeper.messages import name_object
from hpc_connector.confidential.keeper.state import Keeper
from hpc_connector.crypt4gh.header import read_header
from hpc_connector.crypt4gh.seal import check_uncut, choose_keys
from hpc_connector.errors import BadInput


def add_file(
    keeper: Keeper, data: str, path: Path, trusted: Sequence[bytes] = ()
) -> Stored:
    """Keep the header of an encrypted file of a data set; its seal says which it is.

    Parameters
    ----------
    data
        Name of the data set.
    trusted
        Public keys of signers, one of whom must have sealed it; empty for anybody.

    Raises
    ------
    BadInput
        There is no such data set, the file is not for the keeper, or has no seal.
    """
    if data not in keeper.settings.data:
        known = ", ".join(keeper.settings.data) or "none"
        raise BadInput(f"{data}: no data set of keeper.toml: expected one of {known}")
    with open_input(path) as stream:
        header = read_start(stream, str(path))
        n_bytes = os.fstat(stream.fileno()).st_size - len(header)
    opened = read_header(header, keeper.key, str(path))
    if trusted:
        check_uncut(opened.edits, str(path))
    sealed = open_seal(path, n_bytes, trusted)
    if sealed is None:
        raise BadInput(f"{path} has no seal: expected hpc-connector seal make first")
    seal, whole = sealed
    choose_keys(seal, opened.session_keys, str(path))
    name = name_object(whole[: seal.size])
    version = seal.head["version"]
    one = Stored(name, data, path.name, version, header, time.time())
    save_object(keeper.database, one)
    reason = f"{data}: {one.name}, version {version}"
    add_event(keeper.log, "add", uid=keeper.uid, objects=[name], reason=reason)
    return one


def revoke_names(keeper: Keeper, names: Sequence[str]) -> None:
    """Revoke grants and objects: nothing is released by them from now on.

    Raises
    ------
    BadInput
        There is none of such a name; those before it are revoked.
    """
    for name in names:
        if not (kind := revoke(keeper.database, name)):
            raise BadInput(f"{name}: expected the name of a grant or of an object")
        what = {"grant": name} if kind == "grant" else {"objects": [name]}
        add_event(keeper.log, "revoke", uid=keeper.uid, **what)


def describe_all(keeper: Keeper) -> Iterator[str]:
    """Yield a line for each object and each grant, its fields between tabs."""
    for one in list_objects(keeper.database):
        state = "revoked" if one.revoked else ""
        words = ("object", one.id, one.data, one.name, f"version {one.version}", state)
        yield "\t".join(words).rstrip()
    for grant in list_grants(keeper.database):
        ends = f"ends {format_time(grant.ends)}"
        job = f"job {grant.job_id} of {grant.cluster}" if grant.job_id else "no job"
        words = ("grant", grant.name, ",".join(grant.data), grant.subject, ends, job)
        yield "\t".join((*words, "revoked" if grant.revoked else "")).rstrip()
