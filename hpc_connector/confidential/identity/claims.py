"""What a token claims, once its signature holds: by whom, for whom, how long, roles."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput

ALGORITHMS = ("RS256", "PS256", "ES256")
LEEWAY_S = 30
MOST_LIFE_S = 300
MOST_SUBJECT = 255  # characters; OpenID Connect Core 1.0, section 2
MOST_TIME_S = 2.0**53
ROLE = "realm_access.roles=nd-role"


@dataclass(frozen=True)
class Settings:
    """Whose tokens are believed.

    Parameters
    ----------
    issuer
        Address of the OpenID Connect server, of Keycloak with the realm.
    audience
        Who the tokens must be for.
    role
        Path of a claim and what its list must hold, ``PATH=VALUE``.
    most_life_s
        Seconds from the issue of a token to its end, at most.
    """

    issuer: str
    audience: str
    role: str = ROLE
    algorithms: tuple[str, ...] = ALGORITHMS
    leeway_s: float = LEEWAY_S
    most_life_s: float = MOST_LIFE_S


@dataclass(frozen=True)
class Claims:
    """What a valid token says.

    Parameters
    ----------
    subject
        Who it is; the same for ever, within its issuer.
    name
        What its owner is called there; empty if the token does not say. Names change,
        and may be given to others: no key of anything.
    expires_s
        End, seconds since 1970.
    values
        All claims.
    """

    subject: str
    name: str
    expires_s: float
    values: Mapping[str, Any] = field(repr=False)


def check_claims(values: Mapping[str, Any], settings: Settings, now_s: float) -> Claims:
    """Return what a token says, whose signature holds.

    Raises
    ------
    Refused
        ``issuer``, ``type``, ``audience``, ``subject`` or ``time``: it is not for us,
        or not now.
    """
    if values.get("iss") != settings.issuer:
        raise Refused("issuer", f"expected a token of {settings.issuer}")
    if values.get("typ", "Bearer") != "Bearer":
        raise Refused("type", "expected an access token (typ Bearer)")
    _check_audience(values.get("aud"), settings.audience)
    expires_s = _check_times(values, settings, now_s)
    subject, name = values.get("sub"), values.get("preferred_username")
    if not _is_name(subject):
        raise Refused("subject", "expected a token that says whose it is (sub)")
    return Claims(str(subject), str(name) if _is_name(name) else "", expires_s, values)


def _check_audience(found: Any, audience: str) -> None:
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise Refused("audience", f"expected a token for {audience} (aud)")
    if audience not in names:
        raise Refused(
            "audience",
            f"expected a token for {audience} (aud); Keycloak gives aud: account "
            "unless its client, or a scope of it, has an audience mapper",
        )


def _check_times(values: Mapping[str, Any], settings: Settings, now_s: float) -> float:
    """Return when a token ends."""
    leeway_s = settings.leeway_s
    expires_s, issued_s = _read_time(values, "exp"), _read_time(values, "iat")
    if expires_s <= now_s - leeway_s:
        raise Refused("time", "the token has expired")
    starts_s = _read_time(values, "nbf") if "nbf" in values else issued_s
    if max(issued_s, starts_s) > now_s + leeway_s:
        raise Refused("time", "the token is of later: compare the clocks")
    if expires_s - issued_s > settings.most_life_s:
        raise Refused(
            "time",
            f"expected a token of {settings.most_life_s:g} s at most, from iat to exp",
        )
    return expires_s


def _read_time(values: Mapping[str, Any], name: str) -> float:
    found = values.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Refused("time", f"expected a token with {name}, a number")
    if not 0 <= found < MOST_TIME_S:  # nor NaN, nor an integer beyond any float
        raise Refused("time", f"expected a token with {name}, seconds since 1970")
    return float(found)


def _is_name(found: Any) -> bool:
    return (
        isinstance(found, str)
        and 0 < len(found) <= MOST_SUBJECT
        and found.isprintable()
    )


def has_role(claims: Claims, role: str) -> bool:
    r"""Return whether a token holds a role.

    Parameters
    ----------
    role
        ``PATH=VALUE``: names of claims, one in the other, between dots (``\.`` is a dot
        within a name), and an element that the list there must have.

    Raises
    ------
    BadInput
        It is no path and value.

    Examples
    --------
    >>> claims = Claims("5f1c", "", 0.0, {"realm_access": {"roles": ["nd-role"]}})
    >>> has_role(claims, "realm_access.roles=nd-role")
    True
    >>> has_role(claims, "realm_access.roles=nd")
    False
    """
    path, value = read_role(role)
    found: Any = claims.values
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return isinstance(found, list) and any(
        isinstance(one, str) and one == value for one in found
    )


def read_role(role: str) -> tuple[list[str], str]:
    r"""Return the names of a path to a role, and the role.

    Examples
    --------
    >>> read_role(r"resource_access.hpc\.example.roles=runner")
    (['resource_access', 'hpc.example', 'roles'], 'runner')
    """
    path, _, value = role.partition("=")
    names = [name.replace(r"\.", ".") for name in re.split(r"(?<!\\)\.", path)]
    if not value or not all(names):
        raise BadInput(f"role {role!r}: expected PATH=VALUE, such as {ROLE}")
    return names, value
