"""Access tokens: what is believed of them, and when (RFC 7519, 8725)."""

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from hpc_connector.confidential.identity.claims import Claims, Settings, check_claims
from hpc_connector.confidential.identity.key_set import get_keys
from hpc_connector.confidential.refused import Refused

MOST_CHARACTERS = 1 << 14
MOST_ID = 256  # characters of a kid
FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
TYPES = {"JWT", "AT+JWT", "APPLICATION/AT+JWT"}  # in the header, if there is one
KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}  # of keys
LEAST_RSA_BITS = 2048
Find = Callable[[str], list[Mapping[str, Any]]]  # keys of a kid


def validate_token(
    token: str,
    settings: Settings,
    *,
    find: Find | None = None,
    now_s: float | None = None,
) -> Claims:
    """Return what a token says, if its issuer made it for us and it holds now.

    Roles are another question: :func:`~.claims.has_role`.

    Parameters
    ----------
    find
        Returns the public keys of a name, as JWK; None to ask the issuer for them.

    Raises
    ------
    Refused
        With the word of the first check that failed: ``size``, ``form``, ``algorithm``,
        ``type``, ``key``, ``signature``, ``issuer``, ``audience``, ``time``,
        ``subject``. Nothing of the token is in the message.
    Unreachable
        The issuer does not say its keys.
    """
    if len(token) > MOST_CHARACTERS:
        raise Refused("size", f"expected a token of {MOST_CHARACTERS:,} characters")
    parts = FORM.fullmatch(token)
    if parts is None:
        raise Refused("form", "expected a signed token: three parts between dots")
    header = _read_object(parts[1])
    algorithm, name = _check_header(header, settings)
    found = (find or get_keys(settings.issuer).find)(name)
    key = _choose_key(found, algorithm)
    _decode(parts[3])
    try:
        jwt.PyJWS().decode(token, key, algorithms=[algorithm])
    except jwt.PyJWTError:
        raise Refused("signature", "the token is not as its issuer signed it") from None
    now_s = time.time() if now_s is None else now_s
    return check_claims(_read_object(parts[2]), settings, now_s)


def _check_header(header: Mapping[str, Any], settings: Settings) -> tuple[str, str]:
    """Return the algorithm of a token and the name of its key."""
    algorithm, name, kind = (header.get(each) for each in ("alg", "kid", "typ"))
    allowed = [one for one in settings.algorithms if one in KINDS]
    if not isinstance(algorithm, str) or algorithm not in allowed:
        raise Refused("algorithm", f"expected one of {', '.join(allowed)}")
    if "typ" in header and str(kind).upper() not in TYPES:
        raise Refused("type", "expected an access token (JWT or at+jwt)")
    if not header.keys().isdisjoint(("crit", "b64", "zip")):
        raise Refused("form", "expected a token without extensions")
    if not isinstance(name, str) or not 0 < len(name) <= MOST_ID:
        raise Refused("key", "expected a token that names its key (kid)")
    return algorithm, name


def _choose_key(found: list[Mapping[str, Any]], algorithm: str) -> Any:
    """Return the one key that signs by an algorithm."""
    fit = [
        key
        for key in found
        if key.get("kty") == KINDS[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    ]
    if len(fit) != 1:
        raise Refused("key", "expected a token signed by a key of its issuer")
    try:
        key = jwt.PyJWK(dict(fit[0]), algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        raise Refused("key", "the key of the issuer cannot be used") from None
    if KINDS[algorithm] == "RSA" and key.key_size < LEAST_RSA_BITS:
        raise Refused("key", f"expected an RSA key of {LEAST_RSA_BITS} bits or more")
    return key


def _read_object(part: str) -> dict[str, Any]:
    """Return a part of a token, a JSON object in which each key is once."""
    try:
        found = json.loads(
            _decode(part).decode(),
            object_pairs_hook=_take_once,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise Refused("form", "expected JSON, each key once") from None
    if not isinstance(found, dict):
        raise Refused("form", "expected a JSON object")
    return found


def _take_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refuse_constant(_: str) -> Any:
    raise ValueError


def _decode(part: str) -> bytes:
    """Return the bytes of a part of a token, which are written in one way only."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise Refused("form", "expected base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise Refused("form", "expected base64url")
    return data
