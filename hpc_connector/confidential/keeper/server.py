"""The keeper as a server: HTTPS by the standard library, a thread a connection."""

import contextlib
import logging
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from hpc_connector.confidential.identity.claims import Claims
from hpc_connector.confidential.keeper.access import check_person
from hpc_connector.confidential.keeper.grants import (
    bind,
    describe_data,
    get_values,
    make_grant,
)
from hpc_connector.confidential.keeper.log import add_event
from hpc_connector.confidential.keeper.messages import MOST_BYTES, encode
from hpc_connector.confidential.keeper.release import release
from hpc_connector.confidential.keeper.settings import Place
from hpc_connector.confidential.keeper.state import Keeper, read_authority
from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput
from hpc_connector.text import pack_json

logger = logging.getLogger(__name__)

AT_ONCE = 32  # connections that are served
WAITING = 4096  # that wait to be
PATIENCE_S = 20.0  # with a client that says nothing
MOST_S = 90.0  # of a connection: one that says a byte now and then is held up too
JSON, PEM = "application/json", "application/x-pem-file"
STATUS = {  # of refusals, by their words; of others FORBIDDEN
    "body": HTTPStatus.BAD_REQUEST,
    "token": HTTPStatus.UNAUTHORIZED,
    "values": HTTPStatus.NOT_FOUND,
}


class Server(HTTPServer):
    """Accepts connections, and has a pool of threads serve them.

    The handshake of TLS is done by those threads: who does not end it holds up nobody.
    """

    request_queue_size = WAITING

    def __init__(self, keeper: Keeper, context: ssl.SSLContext) -> None:
        self.keeper, self.context = keeper, context
        self.pool = ThreadPoolExecutor(AT_ONCE, "keeper")
        self.ends_s: dict[ssl.SSLSocket, float] = {}  # of connections that are served
        host, port = keeper.settings.keeper.listen
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind the socket, without the look-up of a name that ``http.server`` does."""
        self.allow_reuse_address = True
        super(HTTPServer, self).server_bind()
        self.server_name = str(self.server_address[0])
        self.server_port = int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread."""
        self.pool.submit(self.serve, request, client_address)

    def service_actions(self) -> None:
        """End the connections that last too long: their threads are for others too."""
        now_s = time.monotonic()
        for secured, end_s in list(self.ends_s.items()):
            if now_s >= end_s:
                self.ends_s.pop(secured, None)
                with contextlib.suppress(OSError):  # it has just ended
                    # Not its own method, which would first have it go on in plain
                    socket.socket.shutdown(secured, socket.SHUT_RDWR)

    def serve(self, request: socket.socket, client_address: Any) -> None:
        """Serve a connection to its end."""
        request.settimeout(PATIENCE_S)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            ) as secured:
                self.ends_s[secured] = time.monotonic() + MOST_S
                try:
                    secured.do_handshake()
                    self.finish_request(secured, client_address)
                finally:
                    self.ends_s.pop(secured, None)
        except OSError as error:  # of TLS too; the client has gone, or is none
            logger.debug("%s: %s", client_address[0], error)
        except Exception:
            logger.exception("a connection failed")
        finally:
            self.shutdown_request(request)

    def server_close(self) -> None:
        """Serve what has come, and end."""
        super().server_close()
        self.pool.shutdown(wait=True, cancel_futures=True)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server: Server
    server_version, sys_version = "keeper", ""
    wbufsize = 1 << 16  # an answer is sent whole

    def do_GET(self) -> None:
        """Answer what changes nothing."""
        self.answer(self.get)

    def do_POST(self) -> None:
        """Answer a request for a grant, or a release."""
        self.answer(self.post)

    def do_PUT(self) -> None:
        """Answer a request to bind a grant."""
        self.answer(self.put)

    def answer(self, act: Callable[[], tuple[bytes, str] | None]) -> None:
        """Send what is answered, or why not."""
        self.is_read = False
        try:
            found = act()
            if found is None:
                said = {"refused": "path", "reason": "there is no such thing"}
                self.send(HTTPStatus.NOT_FOUND, pack_json(said))
            else:
                self.send(HTTPStatus.OK, *found)
        except Refused as refused:
            said = {"refused": refused.word, "reason": refused.reason}
            code = STATUS.get(refused.word, HTTPStatus.FORBIDDEN)
            self.send(code, pack_json(said | {"again": refused.again}))
        except (OSError, BadInput) as error:  # of MUNGE, Slurm, the disk, the issuer
            logger.warning("%s", error)
            self.send(HTTPStatus.SERVICE_UNAVAILABLE, pack_json({"reason": "not now"}))
        except Exception:
            logger.exception("%s", self.command)
            self.send(
                HTTPStatus.INTERNAL_SERVER_ERROR, pack_json({"reason": "a fault"})
            )

    def get(self) -> tuple[bytes, str] | None:
        """Return the answer to a GET, None where there is none."""
        keeper, path = self.server.keeper, self.path
        if path == "/v1/nonces":
            nonce = encode(keeper.nonces.make())
            return pack_json({"nonce": nonce, "uid": keeper.uid}), JSON
        if path == "/v1/ca.pem":
            return read_authority(keeper.settings), PEM
        if path == "/v1/data":
            return pack_json(describe_data(keeper, self.person())), JSON
        if path.startswith(start := "/v1/values/"):
            query = path.removeprefix(start)
            return pack_json(get_values(keeper, self.person(), query)), JSON
        return None

    def post(self) -> tuple[bytes, str] | None:
        """Return the answer to a POST."""
        keeper = self.server.keeper
        if self.path == "/v1/release":
            credential = self.headers.get("X-Munge", "")
            return pack_json(release(keeper, self.read(), credential)), JSON
        if self.path == "/v1/grants":
            data = self.read()
            return pack_json(make_grant(keeper, self.person(), data)), JSON
        return None

    def put(self) -> tuple[bytes, str] | None:
        """Return the answer to a PUT."""
        parts = self.path.split("/")
        if len(parts) != 5 or parts[1:3] != ["v1", "grants"] or parts[4] != "job":
            return None
        data = self.read()
        return pack_json(bind(self.server.keeper, self.person(), parts[3], data)), JSON

    def person(self) -> Claims:
        """Return who asks, by the token; the log says who was refused, and why."""
        try:
            return check_person(
                self.server.keeper.settings, self.headers.get("Authorization", "")
            )
        except Refused as refused:
            add_event(self.server.keeper.log, "refuse", reason=str(refused))
            raise

    def read(self) -> bytes:
        """Return the content of a request.

        Raises
        ------
        Refused
            It is too long; nothing of it is read.
        """
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > MOST_BYTES:
            refused = Refused("size", f"expected at most {MOST_BYTES} bytes")
            add_event(self.server.keeper.log, "refuse", reason=str(refused))
            raise refused
        data = self.rfile.read(int(length))
        self.is_read = True  # else what is left of it would be the next request
        return data

    def send(self, status: HTTPStatus, data: bytes, kind: str = JSON) -> None:
        """Send an answer; the connection ends if something of a request is left."""
        sent = self.headers.get("Content-Length", "0") != "0"
        if not self.is_read and (sent or "Transfer-Encoding" in self.headers):
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the log of the keeper does."""


def make_context(place: Place) -> ssl.SSLContext:
    """Return the TLS of a server: version 1.3 alone.

    Raises
    ------
    BadInput
        Its certificate, or the key of that, cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(place.certificate, place.certificate_key)
    except OSError as error:  # an error of TLS is one
        what = error.strerror or "not PEM, or without its private key"
        raise BadInput(f"{place.certificate}: {what}: expected a certificate") from None
    return context


@contextlib.contextmanager
def serve(keeper: Keeper) -> Iterator[tuple[str, int]]:
    """Serve in threads as long as a ``with`` lasts; give the address.

    Raises
    ------
    BadInput
        The address cannot be had.
    """
    place = keeper.settings.keeper
    try:
        server = Server(keeper, make_context(place))
    except OSError as error:
        host, port = place.listen
        raise BadInput(f"{host}:{port}: {error.strerror}: expected to listen") from None
    thread = threading.Thread(target=server.serve_forever, name="keeper")
    add_event(keeper.log, "start", uid=keeper.uid)
    thread.start()
    try:
        yield server.server_name, server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        add_event(keeper.log, "stop", uid=keeper.uid)
        keeper.database.close()


def wait_for_end() -> None:
    """Wait for SIGTERM or Ctrl-C."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    end.wait()
