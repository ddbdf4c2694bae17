"""What people ask of a keeper with a token: grants, their jobs, policies, values."""

import json
import math
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from hpc_connector.confidential.identity.claims import Claims
from hpc_connector.confidential.keeper.access import need_role
from hpc_connector.confidential.keeper.database import (
    Grant,
    bind_grant,
    list_grants,
    list_objects,
    save_grant,
)
from hpc_connector.confidential.keeper.log import add_event
from hpc_connector.confidential.keeper.settings import Policy, Settings
from hpc_connector.confidential.keeper.state import Keeper
from hpc_connector.confidential.keys import read_secret
from hpc_connector.confidential.refused import Refused
from hpc_connector.text import pack_json

NAME_BYTES = 8  # of a grant
USES, MOST_USES = 21, 1000  # a job of ours is queued again twenty times
MOST_PROGRAM = 100  # characters of its name
HOURS = 24.0
VALUES = re.compile(r"session=([^,]+)(?:,secret=([^,]+))?")
JOB = {"cluster": r"[\w-]{1,40}", "job_id": r"\d{1,20}"}


def read_json(data: bytes, fields: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Return a request that has fields of these types, and no others.

    Raises
    ------
    Refused
        It is not one.
    """
    try:
        told = json.loads(data)
        pack_json(told)  # half a surrogate pair is no text
        is_right = told.keys() <= fields.keys() and all(
            type(told[name]) in kinds for name, kinds in fields.items() if name in told
        )
    except (ValueError, AttributeError, RecursionError):
        is_right = False
    if not is_right:
        raise Refused("body", f"expected JSON with {', '.join(fields)}")
    return dict(told)


def make_grant(keeper: Keeper, person: Claims, data: bytes) -> dict[str, Any]:
    """Grant data sets to a person, for a job to come; return the name of the grant.

    Raises
    ------
    Refused
        A data set is not for this person, or not so.
    """
    kinds = {"data": (list,), "program": (str,), "hours": (int, float), "uses": (int,)}
    told = {"hours": HOURS, "uses": USES} | read_json(data, kinds)
    names = [name for name in told.get("data", []) if isinstance(name, str)]
    is_named = 0 < len(told.get("program", "")) <= MOST_PROGRAM
    if not names or len(names) != len(told["data"]) or not is_named:
        raise Refused("body", "expected names of data sets, and a program")
    settings = keeper.settings
    for name in names:
        check_policy(settings, person, name, told)
    if not 1 <= told["uses"] <= MOST_USES:
        raise Refused("uses", f"{told['uses']}: expected 1 to {MOST_USES}")
    if person.subject not in settings.subjects:
        raise Refused("subject", "no user of the cluster is known for this person")
    now = time.time()
    grant = Grant(
        secrets.token_hex(NAME_BYTES),
        person.subject,
        settings.subjects[person.subject],
        tuple(dict.fromkeys(names)),
        told["program"],
        now,
        now + 3600 * told["hours"],
        told["uses"],
    )
    save_grant(keeper.database, grant)
    add_event(keeper.log, "grant", **name_grant(grant), reason=", ".join(grant.data))
    return {"grant": grant.name, "ends": format_time(grant.ends), "uses": grant.uses}


def check_policy(
    settings: Settings, person: Claims, name: str, told: Mapping[str, Any]
) -> None:
    """Refuse a data set that is not there, or not for this.

    Raises
    ------
    Refused
        ``data``, ``role``, ``program`` or ``hours``.
    """
    if name not in settings.data:
        raise Refused("data", f"{name[:80]!r}: there is no such data set")
    policy = settings.data[name]
    if policy.roles:
        need_role(person, policy.roles)
    if policy.programs and told["program"] not in policy.programs:
        raise Refused("program", f"{name} is for {', '.join(policy.programs)}")
    hours = told["hours"]
    if not 0 < hours <= policy.most_hours or not math.isfinite(hours):
        raise Refused("hours", f"{name}: expected at most {policy.most_hours:g}")


def name_grant(grant: Grant) -> dict[str, Any]:
    """Return what the log says of a grant."""
    return {"actor": grant.subject, "uid": grant.uid, "grant": grant.name}


def format_time(seconds: float) -> str:
    """Return a time in UTC, to the second.

    Examples
    --------
    >>> format_time(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def bind(keeper: Keeper, person: Claims, name: str, data: bytes) -> dict[str, Any]:
    """Bind a grant to the number of a job; to no other one after that.

    Raises
    ------
    Refused
        It is not a grant of this person, or is bound already.
    """
    told = read_json(data, {"cluster": (str,), "job_id": (str,)})
    for field, pattern in JOB.items():
        if not re.fullmatch(pattern, told.get(field, "")):
            raise Refused("body", f"{field}: expected that of a job")
    cluster, job_id = told["cluster"], told["job_id"]
    found = list_grants(keeper.database, name)
    if not found or found[0].subject != person.subject:
        raise Refused("grant", "there is none of this name for this person")
    (grant,) = found
    if grant.revoked is not None or time.time() >= grant.ends:
        raise Refused("grant", "revoked, or over its time")
    if cluster not in keeper.settings.munge.clusters:
        raise Refused("cluster", f"{cluster} is not served")
    if not bind_grant(keeper.database, name, cluster, job_id):
        raise Refused("job", "the grant is bound to another job")
    add_event(keeper.log, "bind", **name_grant(grant), job=f"{cluster}/{job_id}")
    return {"grant": name, "cluster": cluster, "job_id": job_id}


def describe_data(keeper: Keeper, person: Claims) -> dict[str, Any]:
    """Return the policies of data sets, and the objects that are there, newest last."""
    add_event(keeper.log, "login", actor=person.subject, reason="data")
    objects: dict[str, list[dict[str, Any]]] = {}
    for one in list_objects(keeper.database):
        told = {"id": one.id, "name": one.name, "version": one.version}
        objects.setdefault(one.data, []).append(told)
    return {
        name: describe_policy(policy) | {"objects": objects.get(name, [])}
        for name, policy in keeper.settings.data.items()
    }


def describe_policy(policy: Policy) -> dict[str, Any]:
    """Return what anybody with the role may know of a policy."""
    return {
        "owner": policy.owner,
        "purpose": policy.purpose,
        "least_level": policy.least_level,
        "programs": list(policy.programs),
        "most_hours": policy.most_hours,
    }


def get_values(keeper: Keeper, person: Claims, query: str) -> dict[str, Any]:
    """Return the values of a session, as a CAS answers.

    Parameters
    ----------
    query
        ``session=NAME``, and perhaps ``,secret=NAME``, as a path of a URL has it.

    Raises
    ------
    Refused
        There is no such session, or secret.
    """
    found = VALUES.fullmatch(unquote(query))
    session = keeper.settings.values.get(found[1]) if found else None
    if found is None or session is None or (found[2] or "") not in {"", *session}:
        raise Refused("values", "there is no such session, or secret")
    chosen = [found[2]] if found[2] else list(session)
    add_event(keeper.log, "login", actor=person.subject, reason=f"values {found[0]}")
    return {
        "values": {
            name: {"value": read_secret(session[name]).decode().rstrip("\n")}
            for name in chosen
        }
    }
