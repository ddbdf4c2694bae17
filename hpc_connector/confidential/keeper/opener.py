"""What a job opens its encrypted inputs by: a keeper, which knows it by MUNGE.

The key of the job is made in the memory of its first rank, and ends with that process.
"""

import hashlib
import importlib.metadata
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from http.client import HTTPSConnection
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.confidential.asking import read_address
from hpc_connector.confidential.evidence.levels import LEVELS
from hpc_connector.confidential.evidence.measurement import measure
from hpc_connector.confidential.evidence.quotes import make_evidence
from hpc_connector.confidential.keeper.client import (
    JOB,
    PATIENCE_S,
    exchange,
    keep_asking,
)
from hpc_connector.confidential.keeper.messages import (
    FORMAT_VERSION,
    decode,
    encode,
    name_object,
)
from hpc_connector.confidential.keeper.munge import make_credential
from hpc_connector.confidential.refused import Refused
from hpc_connector.crypt4gh.header import Header, get_fingerprint, read_header
from hpc_connector.errors import BadInput
from hpc_connector.options import KeyOptions
from hpc_connector.storage.key_ring import Opener
from hpc_connector.text import pack_json

logger = logging.getLogger(__name__)
Kind = TypeVar("Kind")

PAUSE_S = 1.0  # before what may be granted in a moment is asked again
HELP = {
    "grant": "hpc-connector keys grant makes one",
    "uid": "hpc-connector keys grant makes one of this user",
    "job": "hpc-connector submit --grant binds a grant to its job",
    "program": "hpc-connector keys grant --program makes one for another",
    "measurement": "hpc-connector keys measure says what runs here",
    "object": "hpc-connector keeper list says what is there",
}


def open_by_keeper(url: str, options: KeyOptions) -> Opener:
    """Return the opener of a job; the keeper has found its grant to hold.

    Parameters
    ----------
    url
        Of the keeper, ``https://HOST:PORT``.

    Raises
    ------
    BadInput
        This is no job, it has no grant, or the keeper refuses.
    Later
        The keeper does not answer.
    """
    read_address(url, "keeper")
    if not options.grant:
        raise BadInput("--key keeper:URL: expected --grant, that of hpc-connector keys")
    if JOB not in os.environ:
        raise BadInput(
            "--key keeper:URL: a keeper releases keys to jobs of Slurm alone: expected "
            "hpc-connector submit --grant"
        )
    key, lock = X25519PrivateKey.generate(), threading.Lock()
    about = describe_run(key, options)
    first = ask_release(url, about, ())
    packed = read_header(take_bytes(first, "run_key"), key, "the key of the run")
    if (level := take(first, "level", int)) not in range(len(LEVELS)):
        raise BadInput(f"--key keeper:URL: level {level}: expected one of evidence")
    run_key = X25519PrivateKey.from_private_bytes(packed.session_keys[0])
    facts = {
        "key": get_fingerprint(key),
        "evidence": level,
        "grant": options.grant,
        "keeper": url,
    }

    def open_header(name: str, header: bytes, seal: bytes | None) -> Header:
        if seal is None:
            return read_own(header, run_key, name)
        wanted = name_object(seal)
        with lock:
            answer = ask_release(url, about, [wanted], name)
        released = take_bytes(take(answer, "headers", dict), wanted)
        return read_header(released, key, name)

    return Opener(open_header, facts, run_key.public_key().public_bytes_raw())


def take(answer: dict[str, Any], name: str, kind: type[Kind]) -> Kind:
    """Return what an answer says by a name.

    Raises
    ------
    BadInput
        It is not what a keeper answers.
    """
    found = answer.get(name)
    if not isinstance(found, kind):
        raise BadInput(f"--key keeper:URL: an answer without {name}: expected a keeper")
    return found


def take_bytes(answer: dict[str, Any], name: str) -> bytes:
    """Return the bytes that an answer has by a name, in base64; as :func:`take`."""
    try:
        return decode(take(answer, name, str))
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"--key keeper:URL: {name}: {error}") from None


def read_own(header: bytes, run_key: X25519PrivateKey, name: str) -> Header:
    """Return what the key of the run opens: what it has written itself.

    Raises
    ------
    BadInput
        It is an input, which a keeper knows by its seal.
    """
    try:
        return read_header(header, run_key, name)
    except BadInput as error:
        raise BadInput(
            f"{error}; without a seal beside it a keeper does not know it: expected "
            "hpc-connector seal, and keeper add"
        ) from None


def describe_run(key: X25519PrivateKey, options: KeyOptions) -> dict[str, Any]:
    """Return what a job says of itself, the same in each request."""
    program = type(options).__module__.partition(".")[0].replace("_", "-")
    return {
        "format_version": FORMAT_VERSION,
        "grant": options.grant,
        "cluster": os.environ.get("SLURM_CLUSTER_NAME", ""),
        "job_id": os.environ[JOB],
        "restart": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        "node": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "job_public": encode(key.public_key().public_bytes_raw()),
        "program": program,
        "version": importlib.metadata.version("hpc_connector"),
        "measurement": measure(),
    }


def ask_release(
    url: str, about: dict[str, Any], objects: Sequence[str], name: str = ""
) -> dict[str, Any]:
    """Return what a keeper releases; asked again as long as it may in a moment.

    Parameters
    ----------
    name
        Of the object, for what is said of it.

    Raises
    ------
    BadInput
        The keeper refuses; the message says the word, and what helps.
    """
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return keep_asking(url, lambda one: send(one, about, objects))
        except Refused as refused:
            if not refused.again or time.monotonic() >= end_s:
                helps = HELP.get(refused.word, "")
                where = f"{name}: " if name else ""
                raise BadInput(
                    f"{where}{url} refuses: {refused}{': ' * bool(helps)}{helps}"
                ) from None
            logger.info("%s: %s: asked again", url, refused)
        time.sleep(PAUSE_S)


def send(
    connection: HTTPSConnection, about: dict[str, Any], objects: Sequence[str]
) -> dict[str, Any]:
    """Return what a keeper releases for one request, which only this job can send."""
    nonce = exchange(connection, "GET", "/v1/nonces")
    evidence = make_evidence(
        take_bytes(nonce, "nonce"),
        decode(about["job_public"]),
        about["measurement"],
        about["node"],
    )
    asked = {"nonce": nonce["nonce"], "objects": list(objects), "evidence": evidence}
    data = pack_json(about | asked)
    digest = hashlib.sha256(data).digest()
    headers = {"X-Munge": make_credential(digest, take(nonce, "uid", int))}
    return exchange(connection, "POST", "/v1/release", data, headers)
