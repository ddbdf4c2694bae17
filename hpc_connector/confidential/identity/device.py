"""Log in on another device: a code is shown here and entered there (RFC 8628)."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpc_connector.confidential.identity.provider import Provider
from hpc_connector.confidential.identity.web import Unreachable, ask, check_address
from hpc_connector.errors import BadInput

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_S = 5  # where the server says none
MOST_S = 86_400  # of what a server says
SLOWER_S = 5  # more, each time it says slow_down
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
AGAIN = "hpc-connector keys login"
EXPIRED = f"the code has expired before it was entered: {AGAIN}"
WORDS = {  # of servers
    "access_denied": "the login was refused where the code was entered",
    "expired_token": EXPIRED,
    "invalid_client": "the server does not know this client",
    "unauthorized_client": "the server lets this client not log in by device",
    "invalid_target": "the server gives no token for this audience",
    "invalid_scope": "the server does not know what is asked for",
    "invalid_grant": f"the login has ended: {AGAIN}",
}


@dataclass(frozen=True)
class Code:
    """A login that waits to be confirmed.

    Parameters
    ----------
    device
        By which the token is asked for: a secret.
    user, address
        What the user enters, and where; the address may hold the code already.
    interval_s, life_s
        Seconds between questions, and until the code expires.
    """

    device: str = field(repr=False)
    user: str
    address: str
    interval_s: float
    life_s: float


@dataclass(frozen=True)
class Tokens:
    """What a server gives; both are secrets, and the second may be empty."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)


def ask_code(provider: Provider, client: str, audience: str) -> Code:
    """Return a code to show to the user.

    Raises
    ------
    BadInput
        The server has no device flow, or not for this client.
    """
    if not provider.device or not provider.token:
        raise BadInput(f"{provider.issuer} has no device flow (RFC 8628): expected one")
    form = {"client_id": client, "scope": "openid", "audience": audience}
    if "://" in audience:  # RFC 8707: a resource is an address
        form["resource"] = audience
    status, said = ask(provider.device, form)
    if status != 200 or not isinstance(said, dict):
        raise BadInput(f"{provider.issuer}: {_explain(status, said)}")
    address = said.get("verification_uri_complete", said.get("verification_uri"))
    return Code(
        device=_read_word(said, "device_code"),
        user=_read_word(said, "user_code"),
        address=check_address(address, "verification_uri"),
        interval_s=_read_seconds(said, "interval", INTERVAL_S),
        life_s=_read_seconds(said, "expires_in"),
    )


def wait_for_tokens(
    provider: Provider,
    client: str,
    code: Code,
    *,
    tell: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
    get_time: Callable[[], float] = time.monotonic,
) -> Tokens:
    """Return the tokens, once the user has entered the code.

    A server that does not answer is asked half as often each time (RFC 8628, 3.5).

    Raises
    ------
    BadInput
        The login was refused, the code has expired, or the server says another error.
    """
    form = {"grant_type": GRANT, "device_code": code.device, "client_id": client}
    interval_s, ends_s, told = code.interval_s, get_time() + code.life_s, ""
    while get_time() + interval_s < ends_s:
        wait(interval_s)
        try:
            status, said = ask(provider.token, form)
        except Unreachable:
            status, said = 503, None
        if status == 200:
            return _read_tokens(said)
        word = _get_word(said)
        if word == "slow_down":
            interval_s += SLOWER_S
            tell(f"the server is asked less often: every {interval_s:g} s")
        elif status >= 500:
            interval_s *= 2
            tell(f"the server does not answer; asked again in {interval_s:g} s")
        elif word != "authorization_pending":
            raise BadInput(f"{provider.issuer}: {_explain(status, said)}")
        elif not told:
            tell(told := "waiting until the code is entered")
    raise BadInput(f"{provider.issuer}: {EXPIRED}")


def renew(provider: Provider, client: str, refresh: str) -> Tokens:
    """Return new tokens by a refresh token; it stays if the server gives no other.

    Raises
    ------
    BadInput
        The login has ended.
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    status, said = ask(provider.token, form | {"client_id": client})
    if status >= 500:
        raise Unreachable(f"{provider.issuer} does not answer: status {status}")
    if status != 200:
        raise BadInput(f"{provider.issuer}: {_explain(status, said)}")
    tokens = _read_tokens(said)
    return Tokens(tokens.access, tokens.refresh or refresh)


def revoke(provider: Provider, client: str, token: str) -> None:
    """Have a server forget a token, and the login that it is of (RFC 7009).

    Raises
    ------
    BadInput
        It does not.
    """
    status, said = ask(provider.revocation, {"token": token, "client_id": client})
    if status != 200:
        raise BadInput(f"{provider.issuer}: {_explain(status, said)}")


def _read_tokens(said: Any) -> Tokens:
    if not isinstance(said, dict) or str(said.get("token_type")).lower() != "bearer":
        raise BadInput("the server gave no token: expected one of type Bearer")
    refresh = _read_word(said, "refresh_token") if "refresh_token" in said else ""
    return Tokens(_read_word(said, "access_token"), refresh)


def _read_word(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    if not isinstance(found, str) or not TOKEN.fullmatch(found):
        raise BadInput(f"the answer of the server has no {name} that can be used")
    return found


def _read_seconds(
    said: Mapping[str, Any], name: str, default: float | None = None
) -> float:
    found = said.get(name, default)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not (is_number and 0 <= found <= MOST_S):
        raise BadInput(f"the answer of the server has no {name}: expected seconds")
    return max(float(found), 1.0)


def _get_word(said: Any) -> str:
    """Return the word of an error, empty if it is none of the standard's form."""
    word = said.get("error") if isinstance(said, dict) else None
    return word if isinstance(word, str) and re.fullmatch("[a-z_]{1,64}", word) else ""


def _explain(status: int, said: Any) -> str:
    word = _get_word(said)
    return f"{WORDS.get(word, 'expected a token')} ({word or f'status {status}'})"
