"""HTTPS by the standard library: a thread a connection, of a pool, and time limits."""

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

from hpc_connector.errors import BadInput

logger = logging.getLogger(__name__)

WAITING = 4096  # connections that wait to be served
PIECE_BYTES = 1 << 18  # of an answer, each of which is sent within that patience
ALERT_S = 2.0  # for a client to read why it is not served
JSON = "application/json"


class Server(HTTPServer):
    """Accepts connections, and has a pool of threads serve them.

    The handshake of TLS is done by those threads: who does not end it holds up nobody.

    Parameters
    ----------
    listen
        Host and port.
    at_once
        Connections that are served.

    Attributes
    ----------
    most_s
        Of a handshake, and what comes after it: a client that says a byte now and then
        is held up too.
    patience_s
        With a client that says nothing.
    """

    most_s = 90.0
    patience_s = 20.0
    request_queue_size = WAITING

    def __init__(
        self,
        listen: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        context: ssl.SSLContext,
        *,
        name: str,
        at_once: int,
    ) -> None:
        self.context = context
        self.pool = ThreadPoolExecutor(at_once, name)
        self.ends_s: dict[ssl.SSLSocket, float] = {}  # of connections that are served
        if ":" in listen[0]:
            self.address_family = socket.AF_INET6
        super().__init__(listen, handler)

    def server_bind(self) -> None:
        """Bind the socket, without the look-up of a name that ``http.server`` does."""
        self.allow_reuse_address = True
        super(HTTPServer, self).server_bind()
        self.server_name = str(self.server_address[0])
        self.server_port = int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread; what none has taken ends with the server."""
        served = self.pool.submit(self.serve, request, client_address)
        served.add_done_callback(
            lambda ended: self.shutdown_request(request) if ended.cancelled() else None
        )

    def service_actions(self) -> None:
        """End the connections that last too long: their threads are for others too."""
        now_s = time.monotonic()
        for secured, end_s in list(self.ends_s.items()):
            if now_s >= end_s:
                self.ends_s.pop(secured, None)
                end_connection(secured)

    def serve(self, request: socket.socket, client_address: Any) -> None:
        """Serve a connection to its end."""
        request.settimeout(self.patience_s)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            ) as secured:
                self.ends_s[secured] = time.monotonic() + self.most_s
                try:
                    secured.do_handshake()
                    self.finish_request(secured, client_address)
                except ssl.SSLError as error:
                    self.note_refused(client_address, error)
                    drain(secured)
                finally:
                    self.ends_s.pop(secured, None)
        except OSError as error:  # of TLS too; the client has gone, or is none
            logger.debug("%s: %s", client_address[0], error)
        except Exception:
            logger.exception("a connection failed")
        finally:
            self.shutdown_request(request)

    def note_refused(self, client_address: Any, error: ssl.SSLError) -> None:
        """Note that TLS could not be had with a client."""
        logger.debug("%s: %s", client_address[0], error)

    def server_close(self) -> None:
        """End, once the connections are done that threads have taken."""
        super().server_close()
        self.pool.shutdown(wait=True, cancel_futures=True)


def end_connection(secured: ssl.SSLSocket) -> None:
    """End a connection that another thread serves."""
    with contextlib.suppress(OSError):  # it has just ended
        # Not its own method, which would first have it go on in plain
        socket.socket.shutdown(secured, socket.SHUT_RDWR)


def drain(secured: ssl.SSLSocket) -> None:
    """Let a client read why: what it still sends would have that thrown away."""
    plain = socket.socket(fileno=secured.detach())
    with plain, contextlib.suppress(OSError):
        plain.settimeout(ALERT_S)
        plain.shutdown(socket.SHUT_WR)
        end_s = time.monotonic() + ALERT_S
        while plain.recv(1 << 16) and time.monotonic() < end_s:
            pass


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection.

    A server has its own `answer`, which sends what `get`, `post` or `put` return.
    """

    connection: ssl.SSLSocket
    protocol_version = "HTTP/1.1"
    sys_version = ""
    wbufsize = 1 << 16  # an answer is sent whole
    is_read = False  # whether nothing is left of a request
    is_left = False  # whether a client still sends what nobody reads

    get: Callable[[], Any]
    post: Callable[[], Any]
    put: Callable[[], Any]
    answer: Callable[[Callable[[], Any]], None]

    def do_GET(self) -> None:
        """Answer what is asked for."""
        self.answer(self.get)

    def do_POST(self) -> None:
        """Answer what is to be done."""
        self.answer(self.post)

    def do_PUT(self) -> None:
        """Answer what is sent to be kept."""
        self.answer(self.put)

    def get_length(self, most: int) -> int | None:
        """Return the length of what is sent, None if it is more than that."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > most:
            return None
        return int(length)

    def send(self, status: HTTPStatus, data: bytes = b"", kind: str = JSON) -> None:
        """Send an answer; the connection ends if something of a request is left."""
        sent = self.headers.get("Content-Length", "0") != "0"
        if not self.is_read and (sent or "Transfer-Encoding" in self.headers):
            self.close_connection = self.is_left = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        for at in range(0, len(data), PIECE_BYTES):
            self.wfile.write(data[at : at + PIECE_BYTES])
        self.wfile.flush()

    def finish(self) -> None:
        """End the connection, once the client can have read the answer."""
        super().finish()
        if self.is_left:
            drain(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the log of the server does."""


def make_context() -> ssl.SSLContext:
    """Return the TLS of a server: version 1.3 alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


@contextlib.contextmanager
def in_thread(server: Server, name: str) -> Iterator[tuple[str, int]]:
    """Serve in threads as long as a ``with`` lasts; give the address."""
    thread = threading.Thread(target=server.serve_forever, name=name)
    thread.start()
    try:
        yield server.server_name, server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def explain_address(listen: tuple[str, int]) -> Iterator[None]:
    """Say that an address cannot be had, where it is bound.

    Raises
    ------
    BadInput
        It cannot.
    """
    try:
        yield
    except OSError as error:
        host, port = listen
        raise BadInput(f"{host}:{port}: {error.strerror}: expected to listen") from None


def wait_for_end() -> None:
    """Wait for SIGTERM or Ctrl-C."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    end.wait()
