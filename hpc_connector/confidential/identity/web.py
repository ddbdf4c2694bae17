"""Requests to an OpenID Connect server: over TLS, without redirects, small answers."""

import json
import re
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from hpc_connector.errors import BadInput

TIMEOUT_S = 10
MOST_BYTES = 1 << 20  # of an answer
LOOPBACK = "http://127.0.0.1"
ADDRESS = re.compile(
    r"(https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])|http://127\.0\.0\.1)(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9/._~%+:@=&?-]*)?"
)


class Unreachable(BadInput):
    """A server gives no answer that can be used; it may in a moment."""


class _TakeAll(urllib.request.HTTPErrorProcessor):
    """An error and a redirect are answers like others: no secret goes elsewhere."""

    def http_response(self, request: Any, response: Any) -> Any:
        """Return it as it is."""
        return response

    https_response = http_response


def check_address(address: Any, what: str) -> str:
    """Return an address that secrets may be sent to.

    Raises
    ------
    BadInput
        It is not https, nor of this machine (http://127.0.0.1), or names a user.
    """
    if not isinstance(address, str) or not ADDRESS.fullmatch(address):
        raise BadInput(f"{what}: expected https://HOST/... (http for 127.0.0.1 alone)")
    return address


def ask(address: str, form: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Return the status of an answer and what it says, in JSON; None if it does not.

    Parameters
    ----------
    form
        To be posted; None to get.

    Raises
    ------
    Unreachable
        There is no answer, or none that is whole.
    """
    data = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(
        check_address(address, "address"), data, {"Accept": "application/json"}
    )
    handlers: list[urllib.request.BaseHandler] = [_TakeAll()]
    if address.startswith(LOOPBACK):
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, _read(answer)
    except (OSError, HTTPException, OverflowError, UnicodeError) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(f"{_name(address)} does not answer: {reason}") from None


def _read(answer: Any) -> Any:
    data = answer.read(MOST_BYTES + 1)
    try:
        return json.loads(data) if len(data) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        return None


def _name(address: str) -> str:
    return address.partition("?")[0]


def get(address: str) -> dict[str, Any]:
    """Return a document of a server, a JSON object.

    Raises
    ------
    Unreachable
        It gives none.
    """
    status, found = ask(address)
    if status != 200 or not isinstance(found, dict):
        raise Unreachable(
            f"{_name(address)}: expected a JSON document, found status {status}"
        )
    return found
