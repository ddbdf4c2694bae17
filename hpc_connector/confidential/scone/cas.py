"""A client of SCONE's server of policies (CAS): five calls over mutual TLS.

CAS knows a user by the key of the certificate that is shown. It is trusted by the file
of an authority and by nothing else. Whether it runs in an enclave itself is not proved
here: that takes ``scone cas attest``.
"""

import getpass
import http.client
import json
import ssl
import sys
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from hpc_connector.confidential.keys import read_secret
from hpc_connector.confidential.scone.lint import is_name
from hpc_connector.confidential.scone.source import Source, read_source
from hpc_connector.errors import BadInput

PORT = 8081
PATIENCE_S = 30.0
MOST_BYTES = 4 << 20  # of an answer
MOST_SAID = 300  # characters of what CAS says is wrong


class Cas(NamedTuple):
    """A server, and who asks it.

    Parameters
    ----------
    host, port
        Where it is.
    name
        That its certificate must have.
    context
        Of TLS, with the certificates of both.
    """

    host: str
    port: int
    name: str
    context: ssl.SSLContext


class Answer(NamedTuple):
    """What a server answers: its status, and JSON."""

    status: int
    body: dict[str, Any]


def make_cas(
    address: str,
    ca: Path,
    certificate: Path,
    key: Path,
    *,
    name: str = "",
    passphrase: bytes | None = None,
) -> Cas:
    """Return a server and who asks it.

    Parameters
    ----------
    address
        HOST, or HOST:PORT.
    ca
        Certificates of the authorities that are trusted, PEM.
    certificate, key
        Of who asks, PEM.
    name
        That its certificate must have; empty for HOST.
    passphrase
        Of the key, None to ask for it on a terminal if it has one.

    Raises
    ------
    BadInput
        A file is not there or not what it should be, or others may read the key.
    """
    host, colon, port = address.rpartition(":")
    if not colon or "]" in port:
        host, port = address, str(PORT)
    if not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise BadInput(f"--cas {address}: expected HOST or HOST:PORT")
    context = load_authority(ca)
    read_secret(key)

    def get_passphrase() -> bytes:
        if passphrase is None and sys.stdin is not None and sys.stdin.isatty():
            return getpass.getpass(f"Passphrase of {key}: ").encode()
        return passphrase or b""

    try:
        context.load_cert_chain(certificate, key, get_passphrase)
    except (OSError, ValueError) as error:
        said = getattr(error, "reason", None) or error
        raise BadInput(
            f"{certificate}, {key}: {said}: expected a certificate and its key, PEM"
        ) from None
    host = host.strip("[]")
    return Cas(host, int(port), name or host, context)


def load_authority(path: Path) -> ssl.SSLContext:
    """Return a context of TLS that trusts the authorities of a file, and no other.

    Raises
    ------
    BadInput
        It cannot be read, or has none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(path)
    except OSError as error:  # also ssl.SSLError
        said = error.strerror if error.filename else "is no certificate"
        raise BadInput(f"{path}: {said}: expected one of an authority, PEM") from None
    return context


def ask(cas: Cas, method: str, path: str, body: bytes | None = None) -> Answer:
    """Return what a server answers.

    Raises
    ------
    BadInput
        It cannot be reached, is not who it should be, or does not answer JSON.
    """
    where = f"https://{cas.host}:{cas.port}{path}"
    headers = {"Content-Type": "application/yaml"} if body else {}
    connection = http.client.HTTPConnection(cas.host, cas.port, timeout=PATIENCE_S)
    try:
        connection.connect()
        connection.sock = cas.context.wrap_socket(
            connection.sock, server_hostname=cas.name
        )
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read(MOST_BYTES)
    except (TimeoutError, OSError, http.client.HTTPException) as error:
        said = getattr(error, "verify_message", "") or getattr(error, "reason", "")
        raise BadInput(f"{where}: {said or error}: expected SCONE's CAS") from None
    finally:
        connection.close()
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInput(
            f"{where} answers {answer.status}, no JSON: expected SCONE's CAS"
        )
    return Answer(answer.status, found)


def take(answer: Answer, what: str) -> dict[str, Any]:
    """Return the answer to a call that CAS has done.

    Raises
    ------
    BadInput
        It has refused, and why.
    """
    if answer.status in (200, 201):
        return answer.body
    said = answer.body.get("msg", "")
    lines = [str(one) for one in said] if isinstance(said, list) else [str(said)]
    reason = " ".join(" ".join(lines).split())[:MOST_SAID]
    raise BadInput(
        f"CAS refuses {what} ({answer.status}): {reason or 'it says no why'}"
    )


def get_version(cas: Cas) -> dict[str, Any]:
    """Return what CAS says of its version."""
    return take(ask(cas, "GET", "/v1/version"), "to say its version")


def get_attestation(cas: Cas) -> dict[str, Any]:
    """Return the evidence that CAS gives of itself, which is not verified."""
    return take(ask(cas, "GET", "/v1/attest"), "to be attested")


def get_values(cas: Cas, name: str, secret: str = "") -> dict[str, Any]:
    """Return the secrets of a session that we may have, or one of them."""
    chosen = f",secret={quote(secret, safe='')}" if secret else ""
    path = f"/v1/values/session={quote(name)}{chosen}"
    return take(ask(cas, "GET", path), f"values of {name}")


def find_session(cas: Cas, name: str) -> dict[str, Any] | None:
    """Return a session and its hash, as CAS has them; None if there is none."""
    answer = ask(cas, "GET", f"/v1/sessions/{quote(name)}")
    return None if answer.status == 404 else take(answer, name)


def upload(cas: Cas, data: bytes) -> str:
    """Give CAS a policy; return the hash that it has there.

    Parameters
    ----------
    data
        The policy, in which lint finds no fault. Its predecessor is that which CAS
        says, whatever it has: a hash cannot be computed outside of SCONE.

    Raises
    ------
    BadInput
        CAS refuses it, cannot be reached, or says no hash of its predecessor.
    """
    source = read_source(data)
    name = source.data["name"]
    if not is_name(name):
        raise BadInput(f"name {name}: expected one that is filled in")
    there = find_session(cas, name)
    before = None
    if there is not None:
        before = there.get("hash")
        if not isinstance(before, str) or len(before) != 64:
            raise BadInput(f"CAS does not say the hash of {name}: expected 64 digits")
    body = set_predecessor(data.decode("utf-8-sig"), source, before).encode()
    taken = take(ask(cas, "POST", "/v1/sessions", body), name)
    return str(taken.get("hash"))


def set_predecessor(text: str, source: Source, before: str | None) -> str:
    """Return a policy that follows another, or none; all else stays as it is written.

    Parameters
    ----------
    before
        Hash of that which it follows; a policy that follows one has no
        ``namespace_hash``.

    Raises
    ------
    BadInput
        Its keys do not each begin a line.
    """
    lines = text.splitlines(keepends=True)
    first = source.lines["name",] - 1
    start, key, _ = lines[first].partition("name")
    if not key or start.strip(" \"'"):
        raise BadInput("the policy is one map in braces: expected a key a line")
    gone = ("predecessor", "namespace_hash") if before else ("predecessor",)
    for name in (name for name in gone if name in source.data):
        lines[source.lines[name,] - 1] = ""
    if before:
        indent = start.rstrip("\"'")
        lines.insert(first, f'{indent}predecessor: "{before}"\n')
    return "".join(lines)
