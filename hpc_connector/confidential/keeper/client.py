"""What asks a keeper: over TLS 1.3, and again if it does not answer."""

import contextlib
import json
import logging
import os
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from typing import Any

from hpc_connector.confidential.asking import NoAnswer, read_address
from hpc_connector.confidential.keeper.messages import MOST_BYTES, describe
from hpc_connector.errors import BadInput, Later

logger = logging.getLogger(__name__)

MOST_ANSWER = 64 * MOST_BYTES  # of an answer: headers of many objects
PATIENCE_S = 60.0  # with a keeper, in all
ANSWER_S = 30.0  # with one answer
PAUSES_S = (2.0, 8.0, 15.0, 20.0)  # between tries, at most
FAULTS = 500  # status of an answer: this and above is no refusal
JOB = "SLURM_JOB_ID"


def ask_keeper(
    url: str, method: str, path: str, data: bytes = b"", token: str = ""
) -> dict[str, Any]:
    """Return what a keeper answers to one request; see :func:`keep_asking`."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(connection: HTTPSConnection) -> dict[str, Any]:
        return exchange(connection, method, path, data, headers)

    return keep_asking(url, ask)


def keep_asking(
    url: str, ask: Callable[[HTTPSConnection], dict[str, Any]]
) -> dict[str, Any]:
    """Return what a keeper answers, which is asked five times within a minute.

    Parameters
    ----------
    ask
        Takes a connection, returns the answer; raises NoAnswer to be called again.

    Raises
    ------
    Refused
        By the keeper.
    BadInput
        It does not answer, or its certificate is not one to trust.
    Later
        It does not answer, and this is a job of Slurm, which can be queued again.
    """
    end_s = time.monotonic() + PATIENCE_S
    for pause_s in (*PAUSES_S, None):
        try:
            with connect(url, min(ANSWER_S, end_s - time.monotonic())) as connection:
                return ask(connection)
        except NoAnswer as error:
            said = f"{url} does not answer: {error}"
        if pause_s is None or time.monotonic() + pause_s >= end_s:
            break
        logger.info("%s: asked again", said)
        time.sleep(random.uniform(pause_s / 2, pause_s))  # not all jobs at once
    if JOB in os.environ:
        raise Later(f"{said}: the job is to be queued again")
    raise BadInput(f"{said}: expected a keeper")


@contextlib.contextmanager
def connect(url: str, patience_s: float) -> Iterator[HTTPSConnection]:
    """Give a connection to a keeper, whose certificate is checked.

    Raises
    ------
    NoAnswer
        There is none, or it breaks off.
    BadInput
        The certificate is not of an authority that this machine trusts.
    """
    host, port = read_address(url, "keeper")
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    connection = HTTPSConnection(host, port, timeout=patience_s, context=context)
    try:
        yield connection
    except ssl.SSLCertVerificationError as error:
        raise BadInput(
            f"{url}: {error.verify_message}: expected a certificate of an authority "
            "that OpenSSL trusts here (SSL_CERT_FILE names a file of others)"
        ) from None
    except (OSError, HTTPException) as error:
        raise NoAnswer(getattr(error, "strerror", None) or repr(error)) from None
    finally:
        connection.close()


def exchange(
    connection: HTTPSConnection,
    method: str,
    path: str,
    data: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the answer to a request, JSON.

    Raises
    ------
    Refused
        By the keeper.
    NoAnswer
        The keeper cannot now, or it is none.
    """
    connection.request(method, path, data or None, dict(headers or {}))
    answer = connection.getresponse()
    told = read_json(answer)
    if answer.status >= FAULTS or told is None:
        raise NoAnswer(f"status {answer.status}")
    if answer.status != 200:
        raise describe(told)
    return told


def read_json(answer: HTTPResponse) -> dict[str, Any] | None:
    """Return what an answer says, None if it is not a JSON object."""
    try:
        told = json.loads(answer.read(MOST_ANSWER))
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
