"""The release: a job proves who it is, and gets headers for a key of its own.

Nothing that it is sent opens anything for anybody else: the key is in its memory alone.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpc_connector.confidential.evidence.check import Approved, check_evidence
from hpc_connector.confidential.keeper import munge
from hpc_connector.confidential.keeper.database import (
    Grant,
    Stored,
    count_starts,
    find_object,
    is_started,
    list_grants,
    use_grant,
)
from hpc_connector.confidential.keeper.grants import JOB, NAME_BYTES
from hpc_connector.confidential.keeper.jobs import ask_job, list_nodes
from hpc_connector.confidential.keeper.log import add_event
from hpc_connector.confidential.keeper.messages import (
    ID_DIGITS,
    MOST_BYTES,
    decode,
    encode,
    read_body,
)
from hpc_connector.confidential.keeper.settings import Policy
from hpc_connector.confidential.keeper.state import Keeper, get_run_key
from hpc_connector.confidential.refused import Refused
from hpc_connector.crypt4gh.header import KEY_BYTES, make_header, reencrypt_header

NONCE_BYTES = 32
SHOWN = {"grant": rf"[0-9a-f]{{{2 * NAME_BYTES}}}"} | JOB
OBJECT = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")


@dataclass(frozen=True)
class Asked:
    """What a job has asked for, and who has, by MUNGE."""

    body: Mapping[str, Any]
    uid: int
    nonce: bytes
    job_public: bytes


def release(keeper: Keeper, data: bytes, credential: str) -> dict[str, Any]:
    """Return headers for a job, once all is found to be as it was granted.

    Parameters
    ----------
    data
        What the job asks for, as it was sent.
    credential
        Of MUNGE, over the SHA-256 of that.

    Raises
    ------
    Refused
        By the word of the first check that failed.
    OSError
        MUNGE or Slurm does not answer.
    """
    told: dict[str, Any] = {}  # for the log, as far as it is known
    try:
        asked = read_request(keeper, data, credential, told)
        grant = check_grant(keeper, asked)
        told["actor"] = grant.subject
        check_user(asked, grant)
        nodes = check_job(keeper, asked, grant)
        policies = [keeper.settings.data[name] for name in grant.data]
        check_code(asked, grant, policies)
        told["level"] = level = prove(keeper, asked, policies, nodes)
        found = [find(keeper, name, grant) for name in asked.body["objects"]]
        answer = make_answer(keeper, asked, grant, found)
        body = asked.body
        if not use_grant(keeper.database, grant, body["job_id"], body["restart"]):
            raise Refused("grant", f"used {grant.uses} times, as often as it may be")
    except Refused as refused:
        add_event(keeper.log, "refuse", **told | {"reason": str(refused)})
        raise
    except OSError as error:  # of MUNGE, or of Slurm
        add_event(keeper.log, "refuse", **told | {"reason": f"not now: {error}"})
        raise
    add_event(keeper.log, "release", **told)
    return answer | {"level": level}


def read_request(
    keeper: Keeper, data: bytes, credential: str, told: dict[str, Any]
) -> Asked:
    """Return a request that is new, and as its sender wrote it.

    Raises
    ------
    Refused
        ``size``, ``munge``, ``digest``, ``body`` or ``nonce``.
    OSError
        MUNGE does not answer.
    """
    if len(data) > MOST_BYTES:
        raise Refused("size", f"over {MOST_BYTES} bytes")
    said = munge.read_credential(credential, keeper.settings.munge.socket)
    told["uid"] = said.uid
    if said.payload != hashlib.sha256(data).digest():
        raise Refused("digest", "the credential is of another request")
    try:
        body = read_body(data)
        told |= describe(body)
        nonce = decode(body["nonce"], NONCE_BYTES)
        job_public = decode(body["job_public"], KEY_BYTES)
        make_header([bytes(KEY_BYTES)], [job_public])  # not of small order
    except ValueError as error:
        raise Refused("body", str(error)) from None
    keeper.nonces.take(nonce)
    return Asked(body, said.uid, nonce, job_public)


def describe(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the log says of a request, but for what cannot be a name."""
    shown = {
        name: body[name] if re.fullmatch(pattern, body[name]) else None
        for name, pattern in SHOWN.items()
    }
    objects = [one for one in body["objects"] if OBJECT.fullmatch(one)]
    job = f"{shown['cluster']}/{shown['job_id']}/{body['restart']}"
    return {"grant": shown["grant"], "job": job, "objects": objects}


def check_grant(keeper: Keeper, asked: Asked) -> Grant:
    """Return the grant of a request, which holds now.

    Raises
    ------
    Refused
        By the word ``grant``.
    """
    body = asked.body
    found = list_grants(keeper.database, body["grant"])
    if not found:
        raise Refused("grant", "there is none of this name")
    (grant,) = found
    if grant.revoked is not None:
        raise Refused("grant", "revoked")
    if time.time() >= grant.ends:
        raise Refused("grant", "over its time")
    for name in grant.data:
        if name not in keeper.settings.data:
            raise Refused("grant", f"{name} is no data set any more")
    start = grant.name, body["job_id"], body["restart"]
    is_new = not is_started(keeper.database, *start)
    if is_new and count_starts(keeper.database, grant.name) >= grant.uses:
        raise Refused("grant", f"used {grant.uses} times, as often as it may be")
    return grant


def check_user(asked: Asked, grant: Grant) -> None:
    """Refuse a user of the cluster whose grant it is not.

    Raises
    ------
    Refused
        By the word ``uid``.
    """
    if asked.uid != grant.uid:
        raise Refused("uid", f"{asked.uid} has no part in this grant")


def check_job(keeper: Keeper, asked: Asked, grant: Grant) -> list[str]:
    """Refuse what is not the job of a grant, or does not run where it says.

    Returns
    -------
    The names of its nodes.

    Raises
    ------
    Refused
        ``job`` or ``node``.
    OSError
        Slurm does not answer.
    """
    body, clusters = asked.body, keeper.settings.munge.clusters
    job_id, cluster = body["job_id"], body["cluster"]
    if cluster not in clusters:
        raise Refused("job", "of a cluster that is not served")
    if grant.job_id is None:
        raise Refused("job", "the grant is not bound to a job yet", again=True)
    where = cluster if len(clusters) > 1 else ""
    job = ask_job(job_id, where)
    if grant.cluster != cluster or grant.job_id not in (job_id, job.array):
        raise Refused("job", "the grant is bound to another job")
    if job.uid != asked.uid:
        raise Refused("job", "of another user")
    if job.state != "RUNNING":
        raise Refused("job", f"{job.state}: expected RUNNING")
    if job.restarts != body["restart"]:
        raise Refused("job", f"restarted {job.restarts} times, not as it says")
    nodes = list_nodes(job, where)
    if body["node"] not in nodes:
        raise Refused("node", "the job does not run there")
    return nodes


def check_code(asked: Asked, grant: Grant, policies: Sequence[Policy]) -> None:
    """Refuse a program or a code that one of the data sets is not for.

    Raises
    ------
    Refused
        ``program`` or ``measurement``.
    """
    program, measurement = asked.body["program"], asked.body["measurement"]
    programs = [one.programs for one in policies if one.programs]
    if program != grant.program or any(program not in one for one in programs):
        raise Refused("program", f"expected {grant.program}")
    measured = [one.measurements for one in policies if one.measurements]
    if any(measurement not in one for one in measured):
        raise Refused("measurement", "of other code than the data sets are for")


def prove(
    keeper: Keeper, asked: Asked, policies: Sequence[Policy], nodes: Sequence[str]
) -> int:
    """Return the level of evidence that a job has proved for all of its data sets.

    Raises
    ------
    Refused
        It is below what one of them is for.
    """
    levels = [prove_for(keeper, asked, policy, nodes) for policy in policies]
    for policy, level in zip(policies, levels, strict=True):
        if level < policy.least_level:
            raise Refused(
                "evidence", f"level {level} proved: expected {policy.least_level}"
            )
    return min(levels)


def prove_for(
    keeper: Keeper, asked: Asked, policy: Policy, nodes: Sequence[str]
) -> int:
    """Return the level of evidence that a job has proved for one data set."""
    return check_evidence(
        asked.body["evidence"],
        nonce=asked.nonce,
        job_public=asked.job_public,
        measurement=asked.body["measurement"],
        policy=Approved(
            policy.measurements,
            nodes,
            keeper.settings.nodes,
            policy.enclaves,
            policy.tcb_statuses,
        ),
        now=time.time(),
    )


def find(keeper: Keeper, name: str, grant: Grant) -> Stored:
    """Return an object that is of a grant, and the newest of its name.

    Raises
    ------
    Refused
        By the word ``object``.
    """
    found = find_object(keeper.database, name)
    if found is None or found[0].data not in grant.data:
        raise Refused("object", "not of the data sets of this grant")
    one, is_newest = found
    if one.revoked is not None:
        raise Refused("object", f"{one.name} is revoked")
    if not is_newest:
        raise Refused("object", f"{one.name}: version {one.version} is not the newest")
    return one


def make_answer(
    keeper: Keeper, asked: Asked, grant: Grant, found: Sequence[Stored]
) -> dict[str, Any]:
    """Return the headers of objects, and the key of the run, for the key of a job."""
    readers = [asked.job_public]
    run_key = get_run_key(keeper, grant.name).private_bytes_raw()
    headers = {
        one.id: encode(reencrypt_header(one.header, keeper.key, readers, one.name))
        for one in found
    }
    return {"headers": headers, "run_key": encode(make_header([run_key], readers))}
