"""What a server of ours does with connections when it ends."""

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

from hpc_connector.confidential.serving import Server, in_thread, make_context
from programs import PATIENCE_S, wait_for


def test_server__closes_the_connections_that_wait():
    """One that no thread has taken is not left open: Python would warn of it."""
    listen, about = ("127.0.0.1", 0), {"name": "test", "at_once": 1}
    server = Server(listen, BaseHTTPRequestHandler, make_context(), **about)
    with ThreadPoolExecutor(1) as other, contextlib.ExitStack() as clients:
        with in_thread(server, "test") as address:
            held, waiting = (
                clients.enter_context(socket.create_connection(address, PATIENCE_S))
                for _ in range(2)
            )
            wait_for(lambda: server.ends_s and server.pool._work_queue.qsize())
            other.submit(waiting.recv, 1).add_done_callback(lambda _: held.close())
        assert waiting.recv(1) == b""
