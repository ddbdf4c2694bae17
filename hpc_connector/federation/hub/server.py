"""The hub as a server: HTTPS, of sites alone that the study names."""

import contextlib
import json
import logging
import math
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.confidential.refused import Refused
from hpc_connector.confidential.serving import (
    JSON,
    Handler,
    Server,
    end_connection,
    explain_address,
    in_thread,
)
from hpc_connector.errors import BAD_INPUT, STOPPED, BadInput, Later
from hpc_connector.federation.hub.attempts import Ended
from hpc_connector.federation.hub.certificates import get_certificates
from hpc_connector.federation.hub.codec import decode, encode
from hpc_connector.federation.hub.exchange import Exchange, Log
from hpc_connector.federation.hub.folder import alone
from hpc_connector.federation.hub.tls import (
    get_fingerprint,
    get_fingerprint_of,
    make_server_context,
)
from hpc_connector.federation.hub.transport import HubTransport
from hpc_connector.federation.hub.wire import (
    BLOCK,
    HEADER,
    JOIN,
    MOST_HELLO,
    MOST_IDS,
    PROTOCOL,
    RUN,
    TOLD,
    WAIT_S,
    check_crc,
    get_bytes,
    get_most_bytes,
    pack_header,
    read_header,
)
from hpc_connector.federation.joining import check_listed
from hpc_connector.federation.study import Study
from hpc_connector.storage.checksums import get_checksum
from hpc_connector.text import pack_json

logger = logging.getLogger(__name__)

CONNECTIONS = 8  # of a site
STRANGERS = 32  # connections whose certificate is not known yet
CLOSE_S = 5.0  # for answers to be sent at the end
MOST_NOTED = 10_000  # refusals, each of another kind
MOST_REASON = 200  # letters of why a site leaves
BYTES = "application/octet-stream"
WAIT = re.compile(r"\bwait=(\d{1,3})\b")
STATUS = {  # of refusals, by their words; of others CONFLICT
    "body": HTTPStatus.BAD_REQUEST,
    "size": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "path": HTTPStatus.NOT_FOUND,
    "site": HTTPStatus.FORBIDDEN,
    "study": HTTPStatus.FORBIDDEN,
}


class Answer(NamedTuple):
    """What a request is answered."""

    status: HTTPStatus
    data: bytes = b""
    kind: str = BYTES


class HubServer(Server):
    """Serves the sites of a study.

    Parameters
    ----------
    exchange
        Where they meet the scorer.
    certificates
        Of the sites, by their names, PEM.
    """

    most_s = 10.0  # of a handshake
    patience_s = 75.0  # longer than a site waits for an answer

    def __init__(
        self,
        exchange: Exchange,
        certificates: Mapping[str, str],
        listen: tuple[str, int],
        context: ssl.SSLContext,
    ) -> None:
        self.exchange = exchange
        self.sites = {get_fingerprint_of(pem): s for s, pem in certificates.items()}
        self.most_bytes = get_most_bytes(exchange.study.folds)
        self.open: Counter[str] = Counter()  # connections by site
        self.lock = threading.Condition()
        self.n_busy = 0  # requests that are being answered
        self.noted: set[tuple[str, str]] = set()  # who was refused, and why
        self.is_closing = False
        at_once = STRANGERS + CONNECTIONS * len(self.sites)
        super().__init__(listen, HubHandler, context, name="hub", at_once=at_once)

    def note_refused(self, client_address: Any, error: ssl.SSLError) -> None:
        """Log that a client has not shown a certificate of the study."""
        said = getattr(error, "verify_message", None) or error.reason or "no TLS"
        self.note(str(client_address[0]), f"TLS: {said}")

    def note(self, party: str, reason: str) -> None:
        """Log a refusal, once of each kind: who repeats it does not fill the disk."""
        if (party, reason) not in self.noted and len(self.noted) < MOST_NOTED:
            self.noted.add((party, reason))
            self.exchange.log("refuse", party, reason=reason)

    @contextlib.contextmanager
    def count(self, site: str) -> Iterator[int]:
        """Count a connection of a site; give how many it has."""
        with self.lock:
            self.open[site] += 1
        try:
            yield self.open[site]
        finally:
            with self.lock:
                self.open[site] -= 1

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request, which the server ends not without its answer."""
        with self.lock:
            self.n_busy += 1
        try:
            yield
        finally:
            with self.lock:
                self.n_busy -= 1
                self.lock.notify_all()

    def server_close(self) -> None:
        """End all connections: sites come again to a hub that is started again."""
        self.is_closing = True
        self.exchange.close()
        with self.lock:
            self.lock.wait_for(lambda: not self.n_busy, CLOSE_S)
        for secured in list(self.ends_s):
            end_connection(secured)
        super().server_close()


class HubHandler(Handler):
    """Answers the requests of a site, on one connection."""

    server: HubServer
    server_version = "hub"

    def handle(self) -> None:
        """Find out whose the connection is, and answer its requests."""
        shown = get_fingerprint(self.connection.getpeercert(binary_form=True) or b"")
        known = self.server.sites.get(shown)
        if self.server.is_closing:
            return
        if known is None:  # of an authority that a certificate of the study would be
            self.server.note(self.client_address[0], "no certificate of the study")
            return
        self.site = known
        self.server.ends_s[self.connection] = math.inf
        with self.server.count(known) as n:
            if n > CONNECTIONS:
                self.server.note(known, f"more than {CONNECTIONS} connections")
            else:
                super().handle()

    def answer(self, act: Callable[[], Answer]) -> None:
        """Send what is answered, or why not."""
        self.is_read = False
        exchange = self.server.exchange
        with self.server.busy():
            found = self.find_answer(act)
            self.send(*found)
            if found.status == HTTPStatus.GONE:
                exchange.note_heard(self.site)

    def find_answer(self, act: Callable[[], Answer]) -> Answer:
        """Return what is answered, or why not."""
        try:
            return act()
        except Ended as ended:
            code, reason = ended.end
            said = pack_json({"code": code, "reason": reason})
            return Answer(HTTPStatus.GONE, said, JSON)
        except Refused as refused:
            self.server.note(self.site, refused.reason)
            status = STATUS.get(refused.word, HTTPStatus.CONFLICT)
            return Answer(status, pack_json({"reason": refused.reason}), JSON)
        except (ConnectionError, TimeoutError):  # the site has gone
            raise
        except (OSError, Later, BadInput) as error:
            logger.debug("%s", error)
            said = pack_json({"reason": "not now"})
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, said, JSON)

    def get_wait(self) -> float:
        """Return how long a site waits for what is not there yet."""
        found = WAIT.search(self.headers.get("Prefer", ""))
        return min(WAIT_S, float(found[1])) if found else 0.0

    def find(self, pattern: re.Pattern[str]) -> tuple[str, tuple[str, ...]]:
        """Return the run that a path names, and what else is in it.

        Raises
        ------
        Refused
            There is no such thing.
        """
        found = RUN.fullmatch(self.path)
        rest = found and pattern.fullmatch(found[2])
        if not found or not rest:
            raise Refused("path", f"{self.path[:200]!r}: there is no such thing")
        self.server.exchange.see(self.site, found[1])
        return found[1], rest.groups()

    def get(self) -> Answer:
        """Return a told value, or the state of a block."""
        exchange, wait_s = self.server.exchange, self.get_wait()
        if RUN.fullmatch(self.path) and "/told/" in self.path:
            run, (n,) = self.find(TOLD)
            told = exchange.get_told(self.site, run, int(n), wait_s)
            if told is None:
                return Answer(HTTPStatus.ACCEPTED)
            return Answer(HTTPStatus.OK, told)
        run, (stage, block) = self.find(BLOCK)
        name = int(stage), int(block)
        with exchange.changed:
            exchange.check(run)
        state = exchange.wait(self.site, run, name, wait_s)
        if state == "lost":
            return Answer(HTTPStatus.NOT_FOUND)
        if state == "waits":
            return Answer(HTTPStatus.ACCEPTED)
        return self.give(name, HTTPStatus.OK, HTTPStatus.NO_CONTENT)

    def give(
        self, name: tuple[int, int], with_sum: HTTPStatus, without: HTTPStatus
    ) -> Answer:
        """Return the answer of a block that is done; the sum if the sites score."""
        exchange = self.server.exchange
        if exchange.study.scorer != "sites":
            return Answer(without)
        kept = exchange.sums.file.kept[name]
        numbers = get_bytes(exchange.sums.file.read(kept))
        return Answer(with_sum, pack_header(kept.header) + numbers)

    def put(self) -> Answer:
        """Add a block."""
        run, (stage, block) = self.find(BLOCK)
        length = self.get_length(HEADER.size + self.server.most_bytes)
        if length is None:
            said = f"a block has {self.server.most_bytes} bytes at most"
            raise Refused("size", said)
        try:
            header = read_header(self.rfile.read(min(length, HEADER.size)))
            if (header.stage, header.block) != (int(stage), int(block)):
                raise BadInput(f"the header of another block than {self.path[:200]}")
            if header.n_bytes != length - HEADER.size:
                raise BadInput(f"{length} bytes, and the header says {header.n_bytes}")
            numbers = np.empty(header.size, header.dtype)
            view = get_bytes(numbers)
            if self.rfile.readinto(view) != len(view):
                raise ConnectionError("the connection has ended within a block")
            self.is_read = True
            check_crc(header, numbers)
        except BadInput as error:
            raise Refused("body", str(error)) from None
        exchange = self.server.exchange
        if exchange.put(self.site, run, header, numbers, self.get_wait()):
            name = header.stage, header.block
            return self.give(name, HTTPStatus.CREATED, HTTPStatus.CREATED)
        return Answer(HTTPStatus.ACCEPTED)

    def post(self) -> Answer:
        """Let a site come, or go."""
        has_ids = self.path == JOIN and self.server.exchange.study.check_overlap
        most = MOST_IDS if has_ids else MOST_HELLO
        length = self.get_length(most)
        if length is None:
            raise Refused("size", f"expected {most} bytes at most")
        data = self.rfile.read(length)
        self.is_read = True
        if self.path == JOIN:
            return self.join(data)
        run, _ = self.find(re.compile("leave"))
        try:
            told = json.loads(data)
            said = str(told["reason"])[:MOST_REASON]
            reason = "".join(filter(str.isprintable, said))
            code = STOPPED if told.get("code") == STOPPED else BAD_INPUT
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Refused("body", "expected a reason") from None
        self.server.exchange.leave(self.site, run, reason, code)
        return Answer(HTTPStatus.NO_CONTENT)

    def join(self, data: bytes) -> Answer:
        """Let a site take part."""
        exchange = self.server.exchange
        if self.server.is_closing:
            raise Later("the hub is about to end")
        hello, goes_on = read_hello(data, exchange.study, self.site)
        found = exchange.join(self.site, hello, goes_on=goes_on, wait_s=self.get_wait())
        if found is None:
            told = {
                "lacking": exchange.list_lacking(),
                "under_way": exchange.get_number(),
            }
            return Answer(HTTPStatus.ACCEPTED, pack_json(told), JSON)
        joined = {"attempt": found.number, "hellos": list(found.hellos)}
        return Answer(HTTPStatus.OK, encode(joined))


def read_hello(data: bytes, study: Study, site: str) -> tuple[dict[str, Any], bool]:
    """Return what a site shows to all, and whether it goes on in an attempt.

    Raises
    ------
    Refused
        It is another site, has another study or list, or speaks otherwise.
    """
    try:
        told = decode(data)
        hello, goes_on = told["hello"], told["goes_on"] is True
        known = hello["study"], hello["site"], told["protocol"]
        is_nonce = type(hello["nonce"]) is bytes and len(hello["nonce"]) == 32
    except (BadInput, KeyError, TypeError):
        raise Refused("body", "expected what a site shows to all") from None
    if known[2] != PROTOCOL:
        said = f"the protocol is {PROTOCOL} here, {known[2]!r} at the site"
        raise Refused("study", f"{said}: expected the same version of the program")
    if known[0] != study.sha256:
        said = f"site {site} has another study ({str(known[0])[:12]}, here "
        raise Refused("study", f"{said}{study.sha256[:12]}): expected the same file")
    if known[1] != site or not is_nonce:
        said = f"the certificate of site {site}, and the name {known[1]!r}"
        raise Refused("site", f"{said}: expected that of its own")
    try:
        if "reference" in hello:  # who scores expects it of all
            check_listed(study, hello, get_listed(study.reference))
    except BadInput as error:
        raise Refused("study", str(error)) from None
    return hello, goes_on


@cache
def get_listed(reference: Path) -> str:
    """Return the SHA-256 of the list, which is read once."""
    return get_checksum(str(reference))


@contextlib.contextmanager
def open_hub(
    study: Study,
    listen: tuple[str, int],
    tls_key: Path,
    state: Path,
    patience_s: float,
    log: Log,
) -> Iterator[HubTransport]:
    """Serve as a hub as long as a ``with`` lasts; give the scorer's transport.

    The end of the block waits until all sites have the result. An error that cannot be
    helped by starting again ends the attempt, and all sites are told of it.

    Parameters
    ----------
    listen
        Host and port; port 0 for any.
    tls_key
        The private key of the hub's certificate.
    state
        Folder of the attempt, which is made; what is there is gone on with.
    patience_s
        With a site that does not send what is waited for.
    log
        Takes an event (join, refuse, end), the party it is of, and ``reason``.

    Raises
    ------
    BadInput
        The study, the key, or the address cannot be used; a site cannot take part.
    Later
        A site is silent, or has gone.
    """
    known = get_certificates(study)
    context = make_server_context(known.hub, tls_key, known.sites.values())
    with alone(state):
        exchange = Exchange(study, state, patience_s, log)
        with explain_address(listen):
            server = HubServer(exchange, known.sites, listen, context)
        with in_thread(server, "hub") as address:
            transport = HubTransport(exchange, address)
            try:
                yield transport
                exchange.wait_for_done(transport.attempt)
                exchange.end(BAD_INPUT, "all sites have the result")
            except Exception as error:
                end_attempt(exchange, error)
                exchange.linger()
                raise
            finally:
                exchange.clear_if_over()


def end_attempt(exchange: Exchange, error: Exception) -> None:
    """End the attempt for an error that would come again, and for no other."""
    if isinstance(error, OSError | Later) or exchange.attempt is None:
        return
    if isinstance(error, BadInput):
        exchange.end(BAD_INPUT, str(error))
    else:
        exchange.end(STOPPED, f"the hub has failed: {error!r}")
