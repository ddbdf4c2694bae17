"""Requests of a site to its hub: again if none answers, until patience ends."""

import json
import logging
import random
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from typing import Any, NamedTuple

from hpc_connector.confidential.asking import NoAnswer, read_address
from hpc_connector.confidential.serving import end_connection
from hpc_connector.errors import STOPPED, BadInput, Later
from hpc_connector.federation.hub.attempts import End, Ended
from hpc_connector.federation.hub.tls import get_fingerprint, get_fingerprint_of
from hpc_connector.federation.hub.wire import WAIT_S

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, MOST_PAUSE_S = 0.1, 5.0  # between tries
PIECE_BYTES = 1 << 18  # sent at once, each within the time of an answer
ANSWER_S = WAIT_S + 30.0  # for an answer
MOST_ANSWER = 1 << 30  # bytes of what is told
GONE, FAULTS = 410, 500  # status: the attempt has ended; this and above is no refusal
FOUND = (200, 201, 202, 204, 404)


class Answer(NamedTuple):
    """What a hub has answered."""

    status: int
    data: bytes


@dataclass
class Way:
    """The way of a site to its hub, which threads share: each has a connection.

    The first error of any of them is that of all.

    Parameters
    ----------
    url, certificate
        Of the hub.
    context
        TLS of the site.
    patience_s
        With a hub that does not answer.
    """

    url: str
    certificate: str
    context: ssl.SSLContext
    patience_s: float
    failure: Exception | None = None
    is_over: threading.Event = field(default_factory=threading.Event)
    local: threading.local = field(default_factory=threading.local)
    connections: list[HTTPSConnection] = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        body: Sequence[bytes | memoryview] = (),
        wait_s: float = 0.0,
    ) -> Answer:
        """Return what the hub answers.

        Parameters
        ----------
        body
            Its parts.
        wait_s
            That the hub may take for what is not there yet.

        Raises
        ------
        BadInput
            The hub refuses; or it is none, or another.
        Later
            It does not answer, or this site ends.
        Ended
            The attempt has.
        """
        try:
            return self.keep_asking(method, path, body, wait_s)
        except Exception as error:
            self.failure = self.failure or error
            self.stop()
            raise self.failure from None

    def keep_asking(self, *request: Any) -> Answer:
        """Return what the hub answers, which is asked until patience ends."""
        end_s, pause_s, said = time.monotonic() + self.patience_s, 0.0, ""
        while not self.is_over.wait(pause_s * random.uniform(0.5, 1.0)):
            try:
                return self.ask_once(*request)
            except NoAnswer as error:
                said = str(error)
                logger.debug("%s: %s", self.url, said)
            if time.monotonic() >= end_s:
                raise Later(f"hub {self.url} does not answer: {said}")
            pause_s = min(2 * pause_s or FIRST_PAUSE_S, MOST_PAUSE_S)
        raise Later(f"hub {self.url} is not asked any more")

    def ask_once(
        self,
        method: str,
        path: str,
        body: Sequence[bytes | memoryview] = (),
        wait_s: float = 0.0,
    ) -> Answer:
        """Return what the hub answers, which is asked once."""
        try:
            connection = self.connect()
            connection.putrequest(method, path)
            connection.putheader("Content-Length", str(sum(map(len, body))))
            if wait_s:
                connection.putheader("Prefer", f"wait={wait_s:.0f}")
            connection.endheaders()
            for part in body:
                for at in range(0, len(part), PIECE_BYTES):
                    connection.send(part[at : at + PIECE_BYTES])
            response = connection.getresponse()
            answer = Answer(response.status, response.read(MOST_ANSWER))
            response.read()  # nothing, of what may be told
        except (OSError, HTTPException) as error:
            self.forget()
            raise self.explain(error) from None
        return check_answer(self.url, answer)

    def connect(self) -> HTTPSConnection:
        """Return the connection of this thread, whose certificate is the study's."""
        connection: HTTPSConnection | None = getattr(self.local, "connection", None)
        if connection is not None:
            return connection
        host, port = read_address(self.url)
        connection = HTTPSConnection(host, port, timeout=ANSWER_S, context=self.context)
        connection.connect()
        shown: bytes = connection.sock.getpeercert(binary_form=True) or b""
        if get_fingerprint(shown) != get_fingerprint_of(self.certificate):
            connection.close()
            raise BadInput(f"hub {self.url} has another certificate than the study's")
        self.local.connection = connection
        self.connections.append(connection)
        if self.is_over.is_set():  # who ended all connections has not seen this one
            raise NoAnswer("this site ends")
        return connection

    def forget(self) -> None:
        """Close the connection of this thread."""
        connection = getattr(self.local, "connection", None)
        self.local.connection = None
        if connection is not None:
            self.connections.remove(connection)
            connection.close()

    def explain(self, error: OSError | HTTPException) -> Exception:
        """Return what a failure of the connection means."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return BadInput(
                f"hub {self.url}: {error.verify_message}: expected the certificate "
                "of [hub] in the study"
            )
        reason = getattr(error, "reason", None) or ""
        if isinstance(error, ssl.SSLError) and "ALERT" in reason:
            said = reason.partition("ALERT_")[2].replace("_", " ").lower()
            if "internal" not in said:
                return BadInput(
                    f"hub {self.url} does not accept the certificate of this site: "
                    f"{said}"
                )
        return NoAnswer(getattr(error, "strerror", None) or repr(error))

    def stop(self) -> None:
        """End all requests of all threads."""
        self.is_over.set()
        for connection in list(self.connections):
            if connection.sock is not None:
                end_connection(connection.sock)

    def begin_again(self, patience_s: float) -> "Way":
        """Return the same way, without what has failed."""
        return Way(self.url, self.certificate, self.context, patience_s)

    def close(self) -> None:
        """Close the connections, once no thread asks any more."""
        for connection in self.connections:
            connection.close()


def check_answer(url: str, answer: Answer) -> Answer:
    """Return an answer that is neither a refusal nor a fault."""
    if answer.status in FOUND:
        return answer
    try:
        told: Any = json.loads(answer.data)
        reason = str(told["reason"])
        code = int(told.get("code", STOPPED))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NoAnswer(f"status {answer.status}") from None
    if answer.status == GONE:
        raise Ended(End(code, reason))
    if answer.status >= FAULTS:
        raise NoAnswer(f"status {answer.status}: {reason}")
    raise BadInput(f"hub {url}: {reason}")
