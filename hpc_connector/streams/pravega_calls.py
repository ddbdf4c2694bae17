"""Calls of Pravega's client, in a process of its own, each with a deadline."""

import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

from hpc_connector.errors import BadInput

PROBE_S, ANSWER_S = 2.0, 4.0  # the second is of the first call in all
NEWEST = (3, 11)  # Python that the client has wheels for


def check_client(where: str) -> None:
    """Refuse a Python without Pravega's client.

    Raises
    ------
    BadInput
        It is not installed, or there is none for this Python.
    """
    if find_spec("pravega_client") is not None:
        return
    if sys.version_info[:2] > NEWEST:
        here = ".".join(map(str, sys.version_info[:2]))
        raise BadInput(
            f"{where}: Pravega's client has no wheels for CPython {here}: expected "
            f"{'.'.join(map(str, NEWEST))}, or a stream of another kind"
        )
    raise BadInput(
        f"{where} needs pravega: expected pip install 'hpc_connector[pravega]'"
    )


def probe(host: str, port: int, where: str) -> None:
    """Connect to a controller, for its client waits a minute for one that is not there.

    Raises
    ------
    BadInput
        Nobody listens.
    """
    try:
        socket.create_connection((host, port), PROBE_S).close()
    except OSError as error:
        raise BadInput(
            f"{where}: nobody answers: expected Pravega's controller at {host}, port "
            f"{port}: {error}"
        ) from None


class Calls:
    """Pravega's client, in a process that is started when it is first called.

    Parameters
    ----------
    where
        The stream, for messages.
    """

    def __init__(self, host: str, port: int, where: str) -> None:
        self.host, self.port, self.where = host, port, where
        self.process: subprocess.Popen[bytes] | None = None
        self.asked: Connection | None = None
        self.n_started = 0

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Return what a method of :class:`pravega_child.Client` does.

        Raises
        ------
        BadInput
            Pravega refuses it, or does not answer in time.
        """
        end_s = time.monotonic() + ANSWER_S
        asked = self.asked or self.start()
        try:
            asked.send((name, arguments))
            if not asked.poll(max(0.0, end_s - time.monotonic())):
                self.kill()
                raise BadInput(
                    f"{self.where}: no answer within {ANSWER_S:g} s: expected "
                    f"Pravega's controller at {self.host}, port {self.port}"
                )
            is_done, found = asked.recv()
        except (EOFError, ConnectionError):
            self.kill()
            raise BadInput(f"{self.where}: the client of Pravega broke down") from None
        if not is_done:
            raise BadInput(f"{self.where}: Pravega: {found}")
        return found

    def start(self) -> Connection:
        """Start the process, if a controller is there; return what asks it."""
        check_client(self.where)
        probe(self.host, self.port, self.where)
        host = f"[{self.host}]" if ":" in self.host else self.host
        ours, theirs = socket.socketpair()
        with theirs:
            child = "hpc_connector.streams.pravega_child"
            command = [sys.executable, "-m", child, f"tcp://{host}:{self.port}"]
            self.process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # stack traces of Rust
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # what interrupts this process is not for it
            )
        self.n_started += 1
        self.asked = Connection(ours.detach())
        return self.asked

    def kill(self) -> None:
        """End the process, whatever it does; what it had appended stays."""
        if self.asked is not None:
            self.asked.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.asked = self.process = None
